// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"

	"github.com/digestd/digestd/daemon/ledger/deployed"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
)

// End enters the transaction's outcome: one commit raises the counters, once the lists are
// durable. Even if a step fails, the transaction is over and its results are recorded: the mark
// then stays until a reconciliation has looked.
func (s *Ledger) End(t *state.Transaction) (published, withdrawn int) {
	additions := make([]*state.Addition, 0, len(t.Added))
	for _, a := range t.Added {
		additions = append(additions, a)
	}
	// Older versions first, so that several of one line rise in order.
	slices.SortFunc(additions, func(a, b *state.Addition) int {
		return cmp.Or(cmp.Compare(a.Pkg.Name, b.Pkg.Name), nevra.Compare(a.Pkg.EVR, b.Pkg.EVR))
	})
	delete(s.Open, t)
	s.Generation++
	for _, a := range additions {
		if a.Reused {
			continue
		}
		if !a.Installed {
			s.takeBack(t, a)
			continue
		}
		s.discard(a.Replaced)
		e := s.ByName[a.Name]
		if e == nil || e.Header != a.Header {
			continue
		}
		if e.Active() {
			published++
		}
		s.Settle(e, a, t.Peer, false)
	}
	var rebuilt map[nevra.NEVRA]bool
	if len(t.Removed) > 0 {
		rebuilt = t.Brings()
	}
	for _, e := range t.Removed {
		if t.TakenOver || rebuilt[e.Package] {
			// The former digestd knew whether it was only reinstalled, or the next comparison
			// finds out: the list of the other build could not appear.
			if s.ByName[e.Name] == nil {
				s.mark(e)
			}
			continue
		}
		if s.Retire(e, s.retirementReason(t, e), t.Peer) {
			withdrawn++
		}
	}
	for _, e := range t.Kept {
		s.Queue.Batch.PutList(e.List)
		s.RetireLine(e)
	}
	s.After(func(o state.Observer) { o.TransactionFinished(uint32(published), uint32(withdrawn)) })
	deployed.Ended(s.State)
	s.Sync(t.Touched...)
	s.Record()
	return published, withdrawn
}

func (s *Ledger) retirementReason(t *state.Transaction, e *view.Entry) string {
	if t.Replaces(e) {
		return "replaced"
	}
	return "removed"
}

// Abandon forgets a transaction that will not come to its end. Its changes to the directory
// stay until the next comparison, which relies on rpm's database for the installed packages.
func (s *Ledger) Abandon(t *state.Transaction) {
	delete(s.Open, t)
	s.Generation++
	for _, a := range t.Added {
		s.discard(a.Replaced)
		if e := s.ByName[a.Name]; e != nil && e.Header == a.Header && !a.Reused {
			s.Forget(a.Name)
			if a.Previous != nil {
				s.mark(a.Previous) // that it was active is not forgotten
			}
		}
	}
	for _, e := range t.Removed {
		if s.ByName[e.Name] == nil {
			s.mark(e)
		}
	}
	for _, e := range t.Kept {
		plain := *e
		plain.Grace = ""
		s.Put(&plain)
	}
	s.Unsettled = true
	s.Show()
}
