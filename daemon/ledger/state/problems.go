// SPDX-License-Identifier: Apache-2.0

package state

import (
	"cmp"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
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
	s.Problem(problemIndex, api.SeverityError, err.Error(), cmp.Or(api.DiskAdvice(err), "free space on the file system of the state directory")+"; digestd then continues automatically")
	s.Wake[WakeChores] = true
}

// problemIndex stands while the index takes no records.
const problemIndex = "index"

// ToldOf reports whether the problem of the index says all that err does: whatever else
// fails for that cause needs no problem of its own.
func (s *State) ToldOf(err error) bool {
	return slices.ContainsFunc(s.Problems, func(p api.Problem) bool {
		return p.ID == problemIndex && strings.HasSuffix(err.Error(), p.Text)
	})
}

// TellOfRestored tells the administrator that the state directory was made anew:
// the index is there again, what else was in it is not.
func (s *State) TellOfRestored(restored bool) {
	if restored {
		s.Problem("state-replaced", api.SeverityError, "the state directory was replaced while digestd was running; digestd wrote the index to it again, but the signing key and the bodies of own lists are missing",
			"restore signing.* and own/ from a backup, or make new ones: systemctl restart digestd, then digestctl keys enrol and digestctl own update; find out who removed the directory")
	}
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
