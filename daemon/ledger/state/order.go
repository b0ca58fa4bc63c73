// SPDX-License-Identifier: Apache-2.0

package state

import (
	"github.com/digestd/digestd/daemon/api"
)

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
