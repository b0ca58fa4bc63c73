// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/digestd/digestd/daemon/view"
)

// Complete reports whether a list leaves out no more than is denied still.
func (s *Ledger) Complete(e *view.Entry) bool {
	return !slices.ContainsFunc(e.Denied, func(id string) bool { return s.Denials.ByID(id) == nil })
}
