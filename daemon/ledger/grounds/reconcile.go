// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
)

// Allowed reports whether policy still lets an active list be: a floor may have
// risen above it, or the kernel come to name it.
func (s *Grounds) Allowed(e *view.Entry) bool {
	return s.bannedList(e) == "" && s.Admit(e.Package, false).Verdict == policy.Allow
}
