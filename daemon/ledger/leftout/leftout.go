// SPDX-License-Identifier: Apache-2.0

// Package leftout names the installed packages for which a comparison could do nothing: in one
// problem for each reason.
package leftout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
)

// Packages are those that were left out, by the reason. The zero Packages are none.
type Packages struct {
	failed     []string // what went wrong with them
	advice     string   // about the first of them that the disk refused
	Unsignable []string // their headers are of a form that has no signature
	Twice      []string // another build of the same version has their list's name
}

// Fail adds a package, and what went wrong with it.
func (l *Packages) Fail(p *state.InstalledPackage, err error) {
	l.failed = append(l.failed, fmt.Sprintf("%s: %v", p, err))
	l.advice = cmp.Or(l.advice, api.DiskAdvice(err))
}

// Tell names them to the administrator.
func (l *Packages) Tell(s *state.State) {
	problemOf(s, "packages", api.SeverityError, l.failed, "could not be vouched for",
		cmp.Or(l.advice, "fix the cause")+"; digestd retries automatically, or retry now: digestctl sync")
	problemOf(s, "old-headers", api.SeverityNotice, l.Unsignable, "without a list: its header is older than rpm 4 and has no signature",
		"rebuild it with a current rpm, or vouch for its files: digestctl own add")
	problemOf(s, "twice", api.SeverityWarning, l.Twice, "installed twice, from two builds of one version; one of them has no list",
		"remove both and install one again: rpm -e --allmatches, then rpm -i")
}

// problemOf tells of packages by one problem that names the first of them, or solves
// it when there are none.
func problemOf(s *state.State, id, severity string, packages []string, what, advice string) {
	if len(packages) == 0 {
		s.Solved(id)
		return
	}
	const few = 3
	text := strings.Join(packages[:min(len(packages), few)], "; ")
	if more := len(packages) - few; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	text = view.Plural(len(packages), "package") + " " + what + ": " + text
	if !slices.ContainsFunc(s.Problems, func(p api.Problem) bool { return p.ID == id && p.Text == text }) {
		const many = 32
		for _, p := range packages[:min(len(packages), many)] {
			s.Log.Warn("package without a list", "package", p, "reason", id)
		}
	}
	s.Problem(id, severity, text, advice)
}
