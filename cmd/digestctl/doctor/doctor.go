// SPDX-License-Identifier: Apache-2.0

// Package doctor checks that a machine has everything that digestd needs: a kernel, a running
// service, a plugin that rpm loads, directories, clocks. It has to work when digestd does not
// answer, so it looks at the machine itself, and asks digestd only as one part of it.
//
// It promises to change nothing, to finish each check within the limit of [Machine] even if
// something hangs, and to give a remedy with each finding. If a check cannot see something it
// says so instead of guessing. digestctl prints the findings and sets the exit code.
package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts, the best first.
const (
	OK      Verdict = "ok"
	Skipped Verdict = "skipped" // the check is not possible here; Found says why
	Warn    Verdict = "warn"    // it works, but something is missing, or will be
	Fail    Verdict = "fail"    // digestd cannot do its work
)

// Finding is one result of a check.
type Finding struct {
	Check   string  `json:"check"`           // name of the check
	Verdict Verdict `json:"verdict"`         // ok, skipped, warn, fail
	Found   string  `json:"found"`           // what the check found
	Fix     string  `json:"fix,omitzero"`    // a command that fixes it
	Advice  string  `json:"advice,omitzero"` // what to do if no command fixes it
}

// Patience is how long one check may take on a machine of which nothing is known.
const Patience = 10 * time.Second

// Machine is the machine to check. Tests use parts of one.
type Machine struct {
	Config   string                                    // path of digestd's configuration
	Top      string                                    // where /proc, /sys, /etc and /run lie; "" is /
	Root     bool                                      // the user may see everything
	Patience time.Duration                             // limit for each check
	Now      func() time.Time                          // the machine's clock
	Status   func(context.Context) (api.Status, error) // asks digestd
	Version  string                                    // version of digestd that belongs to this program
	Running  *api.Status                               // of the digestd whose directories are checked; nil: by the configuration alone
}

// check is one check of the machine.
type check struct {
	name, about string
	look        func(ctx context.Context, p *patient)
}

// checks are all, in the order in which one thing needs another.
func checks() []check {
	return []check{
		{"config", "the configuration is valid", lookConfig},
		{"service", "systemd runs digestd now and after the next boot", lookService},
		{"daemon", "digestd answers on D-Bus and has no problems", lookDaemon},
		{"socket", "package managers reach digestd", lookSocket},
		{"plugin", "rpm loads the plugin, and the plugin fits this rpm", lookPlugin},
		{"dnf", "dnf asks digestd before it downloads", lookDNF},
		{"database", "digestd can read rpm's database and is in step with it", lookDatabase},
		{"lists", "the list directory meets the kernel's requirements", lookLists},
		{"state", "the state directory exists and belongs to digestd alone", lookState},
		{"space", "there is free space for lists and index", lookSpace},
		{"certificate", "the certificate that signs lists is valid", lookCertificate},
		{"fips", "digestd is in FIPS mode if the kernel is", lookFIPS},
		{"clock", "the clock is not behind the latest signature", lookClock},
		{"kernel", "the kernel has IMA and the Integrity Digest Cache", lookKernel},
		{"keyring", "the kernel trusts the certificate that signs lists", lookKeyring},
		{"ima-policy", "IMA's policy uses the lists", lookPolicy},
		{"policies", "all policy files are in force", lookPolicies},
		{"metadata", "repositories have current security advisories", lookMetadata},
		{"anchor", "the index is bound to the counter in the TPM", lookAnchor},
		{"guard", "the guard is in the configured mode", lookGuard},
	}
}

// About is the name of a check, and the condition that it checks.
type About struct{ Name, Well string }

// Checks returns all checks, in their order.
func Checks() []About {
	var list []About
	for _, c := range checks() {
		list = append(list, About{c.name, c.about})
	}
	return list
}

// patient is the machine during one check, with the findings so far.
type patient struct {
	*Machine
	name     string
	conf     config.Config // the defaults if it cannot be read; with the directories of the running digestd
	written  config.Config // the same as in the file
	confErr  error
	status   func() (api.Status, error) // asked once for all checks
	findings []Finding
}

func (p *patient) add(v Verdict, fix, advice, format string, args ...any) {
	p.findings = append(p.findings, Finding{Check: p.name, Verdict: v, Found: fmt.Sprintf(format, args...), Fix: fix, Advice: advice})
}

func (p *patient) ok(format string, args ...any)   { p.add(OK, "", "", format, args...) }
func (p *patient) skip(format string, args ...any) { p.add(Skipped, "", "", format, args...) }

// warn and fail take the command that mends it, "" when there is none.
func (p *patient) warn(fix, format string, args ...any) { p.add(Warn, fix, "", format, args...) }
func (p *patient) fail(fix, format string, args ...any) { p.add(Fail, fix, "", format, args...) }

// advise says what to do about the last finding, in words.
func (p *patient) advise(format string, args ...any) {
	p.findings[len(p.findings)-1].Advice = fmt.Sprintf(format, args...)
}

// at is where a path of the machine lies.
func (m *Machine) at(path string) string { return filepath.Join("/", m.Top, path) }

// Examine runs the named checks, or all, and returns their findings in the order of the checks.
func (m *Machine) Examine(ctx context.Context, names ...string) []Finding {
	patience := m.Patience
	conf, confErr := config.Load(m.Config)
	if confErr != nil {
		conf = config.Default()
	}
	written := conf
	m.asRunning(&conf)
	status := m.askOnce(ctx, conf, patience)
	wanted := checks()
	if len(names) > 0 {
		wanted = slices.DeleteFunc(wanted, func(c check) bool { return !slices.Contains(names, c.name) })
	}
	// Each on its own: a file system or program that hangs must cost its own
	// finding only, and no system call can be called off.
	results := make([]chan []Finding, len(wanted))
	for i, c := range wanted {
		results[i] = make(chan []Finding, 1)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			p := &patient{Machine: m, name: c.name, conf: conf, written: written, confErr: confErr, status: status}
			c.look(ctx, p)
			results[i] <- p.findings
		}()
	}
	// A little longer than the checks themselves, which say more when they end.
	late := time.NewTimer(patience + patience/2)
	defer late.Stop()
	expired := make(chan struct{})
	go func() {
		select {
		case <-late.C:
		case <-ctx.Done():
		}
		close(expired)
	}()
	var all []Finding
	for i, c := range wanted {
		select {
		case f := <-results[i]:
			all = append(all, f...)
		case <-expired:
			select {
			case f := <-results[i]:
				all = append(all, f...)
			default:
				all = append(all, Finding{Check: c.name, Verdict: Fail, Found: fmt.Sprintf("no answer within %v: a file system or program does not respond", patience),
					Advice: "see dmesg, and look for processes in state D in ps"})
			}
		}
	}
	return all
}

// asRunning replaces places in a configuration by those that the running digestd uses.
func (m *Machine) asRunning(c *config.Config) {
	if m.Running == nil || m.Running.Places.Socket == "" {
		return
	}
	c.Socket, c.State = m.Running.Places.Socket, m.Running.Places.State
	c.Root, c.Lists = m.Running.Root, m.Running.ListDirectory
}

// askOnce returns what asks digestd when the first check wants to know.
func (m *Machine) askOnce(ctx context.Context, conf config.Config, patience time.Duration) func() (api.Status, error) {
	type answer struct {
		status api.Status
		err    error
	}
	asked := make(chan answer, 1)
	asked <- answer{err: errNotAsked}
	return func() (api.Status, error) {
		a := <-asked
		if a.err == errNotAsked {
			switch {
			case conf.Bus == "none":
				a = answer{err: errNoBus}
			case m.Status == nil:
				a = answer{err: errNoBus}
			default:
				ctx, cancel := context.WithTimeout(ctx, patience/2)
				a.status, a.err = m.Status(ctx)
				cancel()
			}
		}
		asked <- a
		return a.status, a.err
	}
}
