// SPDX-License-Identifier: Apache-2.0

package state

import (
	"github.com/digestd/digestd/daemon/api"
)

// IndexFailed tells the administrator why nothing is recorded.
func (s *State) IndexFailed(err error, replaced bool) {
	if replaced {
		s.Problem("state", api.SeverityError, err.Error()+"; nothing that is decided is recorded",
			"put the directory back as it was: digestd finds it by itself; to begin with an empty one, make it: mkdir -m 700 "+s.StateDir)
		s.Wake[WakeChores] = true
		return
	}
	s.Unwritten = true
	s.Problem("index", api.SeverityError, err.Error(), "free space on the file system of the state directory; digestd then goes on by itself")
	s.Wake[WakeChores] = true
}

// TellOfRestored tells the administrator that the state directory was made anew:
// the index is there again, what else was in it is not.
func (s *State) TellOfRestored(restored bool) {
	if restored {
		s.Problem("state-replaced", api.SeverityError, "the state directory was replaced while digestd ran; the index was written to it again, but the key that signs lists and the bodies of own lists are not there",
			"restore signing.* and own/ from a backup, or have new ones made: systemctl restart digestd, then digestctl keys enrol and digestctl own update; find out who removed the directory")
	}
}
