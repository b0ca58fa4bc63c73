// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
)

// foresee decides as consider and add would.
func (s *state) foresee(t *transaction, c *view.Candidate) policy.Decision {
	if e := s.byHeader[c.Header]; e != nil && e.Active() && s.trusted(e) {
		return policy.Decision{Verdict: policy.Allow}
	}
	if d := s.admitIn(t, c.Pkg, c.Multi); d.Verdict == policy.Veto {
		return d
	}
	return s.unlessHeld(c, c.Vouch)
}
