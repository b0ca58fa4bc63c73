// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
)

// Foresee decides as consider and add would.
func (s *Ledger) Foresee(t *state.Transaction, c *view.Candidate) policy.Decision {
	if e := s.ByHeader[c.Header]; e != nil && e.Active() && s.Trusted(e) {
		return policy.Decision{Verdict: policy.Allow}
	}
	if d := s.AdmitIn(t, c.Pkg, c.Multi); d.Verdict == policy.Veto {
		return d
	}
	return s.UnlessHeld(c, c.Vouch)
}
