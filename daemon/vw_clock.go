// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"time"

	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// nextChange is when time changes a judgement next, zero for never.
func (s *snapshot) nextChange(now time.Time) (next time.Time) {
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, e := range s.entries {
		switch {
		case e.State == record.Withheld:
			consider(e.From)
		case e.active() && e.Signature != nil:
			consider(e.Signature.Ends)
		}
	}
	if !s.noExpired {
		return next
	}
	for _, c := range s.keyring.Certs() {
		consider(c.Expires)
		for _, sub := range c.Subkeys {
			consider(sub.Expires)
		}
	}
	return next
}

// waitsForTime reports whether a package has no list, or may lose it, because of the
// time.
func (s *snapshot) waitsForTime() bool {
	for _, e := range s.entries {
		reason := policy.Reason(e.Reason)
		if e.State == record.Withheld && (reason == policy.ReasonKeyExpired || reason == policy.ReasonNotYetValid) {
			return true
		}
	}
	return !s.nextChange(time.Time{}).IsZero()
}
