// SPDX-License-Identifier: Apache-2.0

package state

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// RetiredDenied is why a body must not come back that holds what is denied.
const RetiredDenied = "replaced by a list without what is denied"

// Suspension is a list that must leave the directory, and why.
type Suspension struct {
	Entry    *view.Entry
	Decision policy.Decision
}

// Suspend removes lists from the directory and keeps what they were, for the day that the
// denial is lifted, the floor cleared, or a key vouches for them again. The records that were
// queued before it, which give the reason, become durable first.
func (s *State) Suspend(list []Suspension) {
	if len(list) == 0 {
		return
	}
	s.SetMark() // a crash may leave a list that is withheld on record
	s.IntendUrgently()
	for _, x := range list {
		e, dec, reason := x.Entry, x.Decision, string(x.Decision.Reason)
		s.Plan.Withdraw = append(s.Plan.Withdraw, Withdrawal{Name: e.Name, Entry: e})
		s.Sync(e.Name)
		if e.Grace != "" {
			s.Forget(e.Name)
			s.Retire(e, reason, wire.Peer{})
			continue
		}
		w := *e
		w.State, w.Reason, w.Text, w.Denied = record.Withheld, reason, dec.Text, nil
		if dec.Denial != "" {
			w.Denied = []string{dec.Denial}
		}
		w.File, w.Signer, w.Left, w.Broken, w.Since = record.Digest{}, "", 0, false, s.Now()
		if s.Pending(e) {
			w.Counter = 0
			s.Put(&w)
			continue
		}
		s.RememberBody(e, reason)
		s.Save(&w)
		s.Event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter,
			Reason: reason, Text: dec.Text})
		s.After(func(o Observer) { o.ListWithdrawn(e.Name, e.Package.Full(), reason) })
	}
	s.Record()
}

// Pending reports whether e came with a transaction that has not ended: then its
// end records it.
func (s *State) Pending(e *view.Entry) bool {
	for t := range s.Open {
		if a := t.Added[e.Header]; a != nil && !a.Reused {
			return true
		}
	}
	return false
}
