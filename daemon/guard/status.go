// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/digestd/digestd/daemon/guard/exempt"
	"github.com/digestd/digestd/kernel/guard"
)

// Status is what the guard does and knows.
type Status struct {
	Mode     string        `json:"mode"`            // off, audit or enforce: what the kernel does now
	Wanted   string        `json:"wanted"`          // what the owner has configured
	Why      string        `json:"why,omitempty"`   // why mode is not what is wanted
	Doubt    string        `json:"doubt,omitempty"` // why nothing may be enforced
	Trial    time.Duration `json:"trial,omitempty"` // ns until enforcing ends by itself
	Strict   bool          `json:"strict"`
	Seal     bool          `json:"seal,omitempty"` // only digestd-guard and digestctl change the guard
	Modules  string        `json:"modules"`        // as Mode, for modules, firmware and kexec images
	Commit   uint64        `json:"commit"`         // of the index, with which digests agree; 0: not known
	Digests  int           `json:"digests"`
	Counts   guard.Counts  `json:"counts"`
	Verified uint32        `json:"verified"` // instructions that the kernel went through to prove the programs safe

	// Start is why the guard could not begin with its snapshot at the start of the
	// machine. It stands until digestd-guard is started again.
	Start string `json:"start,omitempty"`

	Exempt []exempt.Group `json:"exempt,omitempty"` // cgroups whose containers run files of their own, or would

	// Unchecked says that mode enforce waits for a check of what the machine needs, and
	// Check what the latest one found; nil: none has ended yet.
	Unchecked bool   `json:"unchecked,omitempty"`
	Check     *Check `json:"check,omitempty"`

	// Doubts is how often since digestd-guard was started something spoke against enforcing: its
	// self-test, its snapshot, or a check.
	Doubts uint64 `json:"doubts,omitempty"`
}

// Check is what a look at the files that the machine needs has found, before the guard
// enforces because its configuration says so.
type Check struct {
	Looked  int      `json:"looked"`          // how many files were looked at
	Refused int      `json:"refused"`         // how many of them would be refused
	First   []string `json:"first,omitempty"` // some of these, at most MostNamed
	Error   string   `json:"error,omitempty"` // why it could not be made
}

// MostNamed is how many files a Check names, and maxNamed how many bytes a name has.
const (
	MostNamed = 5
	maxNamed  = 512
)

// Passed says that nothing would be refused.
func (c Check) Passed() bool { return c.Error == "" && c.Refused == 0 && c.Looked > 0 }

// String says what a check that has not passed found.
func (c Check) String() string {
	switch {
	case c.Error != "":
		return "what this machine needs cannot be checked: " + c.Error
	case c.Looked == 0:
		return "the check of what this machine needs found no file"
	}
	named := strings.Join(c.First, ", ")
	if more := c.Refused - len(c.First); more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("it would refuse %d of %d files that this machine needs: %s", c.Refused, c.Looked, named)
}

// valid says whether a check that came over the socket can be kept.
func (c Check) valid() error {
	switch {
	case c.Looked < 0, c.Refused < 0, c.Refused > c.Looked, len(c.First) > min(c.Refused, MostNamed):
		return errors.New("its numbers contradict each other")
	case len(c.Error) > maxNamed || slices.ContainsFunc(c.First, func(name string) bool { return len(name) > maxNamed }):
		return fmt.Errorf("a text of it is longer than %d bytes", maxNamed)
	}
	return nil
}

// Room is how many digests the guard has and can have: as many as the kernel has memory
// for, of which it leaves others a half.
type Room struct {
	Mode string `json:"mode"` // what the kernel does now; only in enforce does a lack of room refuse anything
	Held int    `json:"held"`
	Most int    `json:"most"`
}

// Change is what the owner changes about the guard.
type Change struct {
	Mode  string        `json:"mode"`            // off, audit or enforce
	Trial time.Duration `json:"trial,omitempty"` // ns; enforce ends by itself after it

	// Confirm makes a trial of enforce last. It is refused when none is in force.
	Confirm bool `json:"confirm,omitempty"`

	Reason string `json:"reason,omitempty"` // of the owner, for the log; at most 1,024 bytes
	For    *For   `json:"for,omitempty"`    // whom digestd asks for; nil: for itself, or somebody else asks
}

// Exemption is what the owner changes about which containers run files that no list holds.
type Exemption struct {
	Group string `json:"group"`         // a cgroup, as guard-exempt has them
	End   bool   `json:"end,omitempty"` // of one that was made so
	// Force exempts the group although others than root can make processes part of it; Reason
	// says why then.
	Force  bool   `json:"force,omitempty"`
	Reason string `json:"reason,omitempty"` // at most 1,024 bytes
	For    *For   `json:"for,omitempty"`    // as in Change
}

// What returns the effect on the group: "end", "force" or "exempt".
func (e Exemption) What() string {
	switch {
	case e.End:
		return "end"
	case e.Force:
		return "force"
	}
	return "exempt"
}

func (e Exemption) check() error {
	switch {
	case len(e.Group) > maxNamed:
		return fmt.Errorf("the name of a cgroup has %d bytes, more than %d", len(e.Group), maxNamed)
	case len(e.Reason) > 1024:
		return fmt.Errorf("a reason of %d bytes is longer than 1,024", len(e.Reason))
	case e.For != nil && len(e.For.Unit) > 256:
		return fmt.Errorf("the name of a unit has %d bytes, more than 256", len(e.For.Unit))
	case e.Force && e.End:
		return errors.New("the end of an exemption needs no force")
	case e.Force && strings.TrimSpace(e.Reason) == "":
		return errors.New("to force an exemption needs a reason")
	case strings.ContainsFunc(e.Group+e.Reason, unicode.IsControl):
		return errors.New("it has characters that are not to be printed")
	}
	return nil
}

// For is who asked digestd for a change.
type For struct {
	UID  uint32 `json:"uid"`
	PID  uint32 `json:"pid"`
	Unit string `json:"unit,omitempty"` // of the service manager, at most 256 bytes
}

// maxTrial bounds a trial; what is to last longer is no trial.
const maxTrial = 7 * 24 * time.Hour

func (c Change) check() (guard.Mode, error) {
	mode, err := guard.ParseMode(c.Mode)
	switch {
	case err != nil:
		return 0, err
	case c.Trial < 0 || c.Trial > maxTrial:
		return 0, fmt.Errorf("a trial of %v is not between 0 and %v", c.Trial, maxTrial)
	case len(c.Reason) > 1024:
		return 0, fmt.Errorf("a reason of %d bytes is longer than 1,024", len(c.Reason))
	case c.For != nil && len(c.For.Unit) > 256:
		return 0, fmt.Errorf("the name of a unit has %d bytes, more than 256", len(c.For.Unit))
	case c.Confirm && (mode != guard.Enforce || c.Trial != 0):
		return 0, errors.New("only mode enforce without an end can be confirmed")
	case c.Trial > 0 && mode != guard.Enforce:
		return 0, fmt.Errorf("a trial of mode %s has no meaning", mode)
	}
	return mode, nil
}
