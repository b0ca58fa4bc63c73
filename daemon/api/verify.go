// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// The kinds of a [Finding].
const (
	FindingChanged    = "changed"    // the content differs from the package's
	FindingMissing    = "missing"    // the package has the file, the disk does not
	FindingUnvouched  = "unvouched"  // an executable that no list includes
	FindingLabel      = "label"      // bound to a list that does not include it
	FindingList       = "list"       // a list is missing from the directory, or altered
	FindingWithheld   = "withheld"   // an installed package without an active list
	FindingUnreadable = "unreadable" // it could not be read
	FindingBusy       = "busy"       // it changed while it was read
)

// The states of a [Verification].
const (
	VerifyRunning     = "running"
	VerifyFinished    = "finished"
	VerifyInterrupted = "interrupted" // may be resumed
)

// Finding is one result of verification.
type Finding struct {
	Path     string `json:"path,omitzero"`     // of the file, below the root
	RawPath  []byte `json:"rawPath,omitzero"`  // the bytes, when they are not UTF-8
	Kind     string `json:"kind"`              // changed, missing, unvouched, label, list, withheld, unreadable, busy
	Severity string `json:"severity"`          // error, or notice: no action is necessary
	Text     string `json:"text"`              // what was found
	Package  string `json:"package,omitzero"`  // NEVRA of the package it belongs to
	List     string `json:"list,omitzero"`     // the list that should vouch for it
	Label    string `json:"label,omitzero"`    // the list that security.digest_list binds the file to
	Algo     string `json:"algo,omitzero"`     // algorithm of the digests
	Digest   string `json:"digest,omitzero"`   // of the content now
	Expected string `json:"expected,omitzero"` // the digest that the list has
	Role     string `json:"role,omitzero"`     // config, documentation or ghost, as the package marks it
	Fixed    bool   `json:"fixed,omitzero"`    // it was fixed
}

// Verification compares the files on disk with the lists.
type Verification struct {
	State    string        `json:"state"`          // running, finished, interrupted
	Fix      bool          `json:"fix"`            // what could be fixed was
	All      bool          `json:"all"`            // everything was verified, also executables that belong to no package
	Scope    []string      `json:"scope,omitzero"` // the verified paths or packages, if not all
	Started  time.Time     `json:"started"`        // when it began; if it was resumed, when it first began
	Ended    time.Time     `json:"ended,omitzero"` // when it ended or was interrupted
	Duration time.Duration `json:"durationNs"`     // of all its parts
	Packages int           `json:"packages"`       // packages verified
	Files    int           `json:"files"`          // files verified
	Bytes    uint64        `json:"bytes"`          // bytes read
	Errors   int           `json:"errors"`         // findings that are errors and were not fixed
	Notices  int           `json:"notices"`        // findings that need no action
	Fixed    int           `json:"fixed"`          // findings that were fixed
	Counts   VerifyCounts  `json:"counts"`         // of the errors by kind
	Absent   int           `json:"absent"`         // files that rpm did not install, such as documentation
	Unbound  int           `json:"unbound"`        // files without a label, for which the kernel searches every list
	Moved    int           `json:"moved"`          // packages that changed meanwhile and were left out
	Dropped  int           `json:"dropped"`        // findings that were counted and not kept
}

// VerifyCounts are numbers of errors by kind.
type VerifyCounts struct {
	Changed    int `json:"changed"`
	Missing    int `json:"missing"`
	Unvouched  int `json:"unvouched"`
	Label      int `json:"label"`
	List       int `json:"list"`
	Withheld   int `json:"withheld"`
	Unreadable int `json:"unreadable"` // or busy
}

// Count adds a finding.
func (v *Verification) Count(f Finding) {
	switch {
	case f.Fixed:
		v.Fixed++
		return
	case f.Severity == SeverityNotice:
		v.Notices++
		return
	}
	v.Errors++
	c := &v.Counts
	for _, k := range []struct {
		kind string
		n    *int
	}{
		{FindingChanged, &c.Changed}, {FindingMissing, &c.Missing}, {FindingUnvouched, &c.Unvouched}, {FindingLabel, &c.Label},
		{FindingList, &c.List}, {FindingWithheld, &c.Withheld}, {FindingUnreadable, &c.Unreadable}, {FindingBusy, &c.Unreadable},
	} {
		if k.kind == f.Kind {
			*k.n++
		}
	}
}
