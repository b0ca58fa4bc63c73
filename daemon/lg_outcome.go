// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"slices"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store/record"
)

// end enters the transaction's outcome: one commit raises the counters, once the lists
// are durable. Whatever fails, the transaction is over, and what it did is recorded: the
// mark then stays until a reconciliation has looked.
func (s *state) end(t *transaction) (published, withdrawn int) {
	additions := make([]*addition, 0, len(t.added))
	for _, a := range t.added {
		additions = append(additions, a)
	}
	// Older versions first, so that several of one line rise in order.
	slices.SortFunc(additions, func(a, b *addition) int {
		return cmp.Or(cmp.Compare(a.Pkg.Name, b.Pkg.Name), nevra.Compare(a.Pkg.EVR, b.Pkg.EVR))
	})
	delete(s.open, t)
	s.generation++
	for _, a := range additions {
		if a.reused {
			continue
		}
		if !a.installed {
			s.takeBack(t, a)
			continue
		}
		s.discard(a.replaced)
		e := s.byName[a.Name]
		if e == nil || e.Header != a.Header {
			continue
		}
		if e.Active() {
			published++
		}
		s.settle(e, a, t.peer, false)
	}
	for _, e := range t.removed {
		if t.takenOver {
			// Whether it was only installed again, the digestd before this one knew.
			if s.byName[e.Name] == nil {
				s.mark(e)
			}
			continue
		}
		if s.retire(e, s.retirementReason(t, e), t.peer) {
			withdrawn++
		}
	}
	for _, e := range t.kept {
		s.queue.batch.PutList(e.List)
		s.retireLine(e)
	}
	s.after(func(o observer) { o.TransactionFinished(uint32(published), uint32(withdrawn)) })
	s.sync(t.touched...)
	s.record()
	return published, withdrawn
}

// settle enters a list that has become active, or was withheld, into its line
// and into the log. A first sync is quiet: one entry stands for all its lists.
func (s *state) settle(e *view.Entry, a *addition, by wire.Peer, quiet bool) {
	id := view.LineOf(e.Package)
	kind := audit.KindWithheld
	if e.Active() {
		kind = audit.KindPublished
		p := s.policyLine(id)
		p.Multi = p.Multi || a.Multi
		settled := *e
		settled.Counter = s.nextCounter()
		s.saveLine(id, p.Activate(e.Package.EVR, settled.Counter))
		s.put(&settled)
		e = &settled
		s.unretire(e.Body)
		s.after(func(o observer) { o.ListPublished(e.Name, e.Package.Full()) })
	}
	switch {
	case e.State == record.Empty:
		s.queue.batch.PutList(e.List)
		return // nothing was decided
	case a.decision.Grant:
		kind = audit.KindGrantUsed
	case a.decision.Reason.Rollback() && e.Active():
		kind = audit.KindRollbackAllowed
	case a.decision.Reason.Rollback():
		kind = audit.KindRollbackWithheld
	}
	if p := a.previous; p != nil && !p.Body.IsZero() && p.Body != e.Body {
		switch {
		case p.Header != e.Header:
			s.rememberBody(p, "replaced by another build of the same version")
		case e.Left > p.Left:
			s.rememberBody(p, retiredDenied)
		}
	}
	s.queue.batch.PutList(e.List)
	if quiet && kind == audit.KindPublished {
		return
	}
	why, text := string(a.decision.Reason), a.decision.Text
	if !e.Active() {
		why, text = e.Reason, e.Text // it may have been withdrawn since it was decided about
	}
	s.event(record.Event{Kind: kind, Package: e.Package.Full(), List: e.Name, Digest: e.Body, Key: e.Key, Counter: e.Counter,
		Reason: why, Text: text, UID: by.UID, PID: by.PID})
}

// retire forgets a list whose file is gone and raises what its line remembers.
func (s *state) retire(e *view.Entry, reason string, by wire.Peer) (wasActive bool) {
	s.queue.batch.DeleteList(e.Name)
	if current := s.byName[e.Name]; current != nil && current != e {
		s.queue.batch.PutList(current.List) // the same version was installed again from another build
	}
	if !e.Active() {
		if e.Counter > 0 {
			s.retireLine(e) // it was active, and its body is remembered already
		}
		return false
	}
	s.rememberBody(e, reason)
	if e.Grace == "" {
		s.retireLine(e)
	}
	s.event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Digest: e.Body, Key: e.Key, Counter: e.Counter,
		Reason: reason, UID: by.UID, PID: by.PID})
	s.after(func(o observer) { o.ListWithdrawn(e.Name, e.Package.Full(), reason) })
	return true
}

func (s *state) retireLine(e *view.Entry) {
	id := view.LineOf(e.Package)
	s.saveLine(id, s.policyLine(id).Retire(e.Package.EVR))
}

func (s *state) rememberBody(e *view.Entry, reason string) {
	s.setRetired(record.Retirement{Body: e.Body, Wide: e.Wide, List: e.Name, Package: e.Package, Own: e.Own, Version: e.Version, When: s.now(), Reason: reason})
}

func (s *state) setRetired(r record.Retirement) {
	was, known := s.retired[r.Body]
	s.undo.retired = append(s.undo.retired, oldRetirement{r.Body, was, known})
	s.retired[r.Body] = r
	s.queue.batch.PutRetirement(r)
}

// unretire forgets that a body was retired: its list is active again.
func (s *state) unretire(body record.Digest) {
	if was, known := s.retired[body]; known {
		s.undo.retired = append(s.undo.retired, oldRetirement{body, was, true})
		delete(s.retired, body)
		s.queue.batch.DeleteRetirement(body)
	}
}

func (s *state) retirementReason(t *transaction, e *view.Entry) string {
	if t.replaces(e) {
		return "replaced"
	}
	return "removed"
}

// abandon forgets a transaction that will not come to its end. What it did to
// the directory stays until reconciliation, which takes rpm's word for what is
// installed.
func (s *state) abandon(t *transaction) {
	delete(s.open, t)
	s.generation++
	for _, a := range t.added {
		s.discard(a.replaced)
		if e := s.byName[a.Name]; e != nil && e.Header == a.Header && !a.reused {
			s.forget(a.Name)
			if p := a.previous; p != nil && p.Header != a.Header {
				s.mark(p)
			}
		}
	}
	for _, e := range t.removed {
		if s.byName[e.Name] == nil {
			s.mark(e)
		}
	}
	for _, e := range t.kept {
		plain := *e
		plain.Grace = ""
		s.put(&plain)
	}
	s.unsettled = true
	s.show()
}
