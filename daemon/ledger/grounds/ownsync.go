// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// OwnRefused says why an own list may not be active, if it may not.
func (s *Grounds) OwnRefused(o record.Own, e *view.Entry) policy.Decision {
	switch o.KeyKind {
	case view.KeyPGP:
		if c := s.Keyring.Primary(o.Key); c == nil || c.Revoked != nil || c.Weak != "" {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the key that signed it, " + o.Key + ", is not trusted any more"}
		}
	case view.KeyX509:
		if s.Keys[o.Key].Revoked != nil || !s.Importers[o.Key] {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the certificate that signed it, " + o.Key + ", is not trusted any more"}
		}
	}
	if d := s.originRefused(o); d.Verdict != policy.Allow {
		return d
	}
	return s.UnlessBanned(e.Package, s.Admit(e.Package, false), e.Body, o.Body)
}
