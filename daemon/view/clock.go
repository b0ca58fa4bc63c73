// SPDX-License-Identifier: Apache-2.0

package view

import (
	"time"

	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// NextChange is when time changes a judgement next, zero for never.
func (s *Snapshot) NextChange(now time.Time) (next time.Time) {
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, e := range s.Entries {
		switch {
		case e.State == record.Withheld:
			consider(e.From)
		case e.Active() && e.Signature != nil:
			consider(e.Signature.Ends)
		}
	}
	if !s.NoExpired {
		return next
	}
	for _, c := range s.Keyring.Certs() {
		consider(c.Expires)
		for _, sub := range c.Subkeys {
			consider(sub.Expires)
		}
	}
	return next
}

// WaitsForTime reports whether a package has no list, or may lose it, because of the
// time.
func (s *Snapshot) WaitsForTime() bool {
	for _, e := range s.Entries {
		reason := policy.Reason(e.Reason)
		if e.State == record.Withheld && (reason == policy.ReasonKeyExpired || reason == policy.ReasonNotYetValid) {
			return true
		}
	}
	return !s.NextChange(time.Time{}).IsZero()
}
