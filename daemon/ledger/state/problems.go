// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
)

// IndexFailed tells the administrator why nothing is recorded.
func (s *State) IndexFailed(err error, replaced bool) {
	if replaced {
		s.Problem("state", api.SeverityError, err.Error()+"; digestd cannot record decisions",
			"restore the directory; digestd detects it automatically; to start with an empty one: mkdir -m 700 "+s.StateDir)
		s.Wake[WakeChores] = true
		return
	}
	s.Unwritten = true
	s.Problem("index", api.SeverityError, err.Error(), "free space on the file system of the state directory; digestd then continues automatically")
	s.Wake[WakeChores] = true
}

// TellOfRestored tells the administrator that the state directory was made anew:
// the index is there again, what else was in it is not.
func (s *State) TellOfRestored(restored bool) {
	if restored {
		s.Problem("state-replaced", api.SeverityError, "the state directory was replaced while digestd was running; digestd wrote the index to it again, but the signing key and the bodies of own lists are missing",
			"restore signing.* and own/ from a backup, or make new ones: systemctl restart digestd, then digestctl keys enrol and digestctl own update; find out who removed the directory")
	}
}

// LeftOut are the installed packages that a reconciliation could do nothing for, by
// the reason.
type LeftOut struct {
	failed     []string // what went wrong with them
	Unsignable []string // their headers are of a form that has no signature
	Twice      []string // another build of the same version has their list's name
}

func (l *LeftOut) Fail(p *InstalledPackage, err error) {
	l.failed = append(l.failed, fmt.Sprintf("%s: %v", p, err))
}

// TellOfLeftOut names them to the administrator.
func (s *State) TellOfLeftOut(l *LeftOut) {
	s.problemOf("packages", api.SeverityError, l.failed, "could not be vouched for",
		"fix the cause; digestd retries automatically, or retry now: digestctl sync")
	s.problemOf("old-headers", api.SeverityNotice, l.Unsignable, "without a list: its header is older than rpm 4 and has no signature",
		"rebuild it with a current rpm, or vouch for its files: digestctl own add")
	s.problemOf("twice", api.SeverityWarning, l.Twice, "installed twice, from two builds of one version; one of them has no list",
		"remove both and install one again: rpm -e --allmatches, then rpm -i")
}

// problemOf tells of packages by one problem that names the first of them, or solves
// it when there are none.
func (s *State) problemOf(id, severity string, packages []string, what, advice string) {
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

// PrefetchKept notes whether the attribute of the directory could be put back where it
// was gone.
func (s *State) PrefetchKept(err error) {
	if !s.Prefetch {
		return
	}
	if err != nil {
		s.Problem("prefetch", api.SeverityWarning, err.Error(), "put the list directory on a file system with extended attributes, or: digestctl order prefetch off")
		return
	}
	s.Solved("prefetch")
}
