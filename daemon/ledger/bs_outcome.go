// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store/record"
)

// settle enters a list that has become active, or was withheld, into its line
// and into the log. A first sync is quiet: one entry stands for all its lists.
func (s *State) settle(e *view.Entry, a *Addition, by wire.Peer, quiet bool) {
	id := view.LineOf(e.Package)
	kind := audit.KindWithheld
	if e.Active() {
		kind = audit.KindPublished
		p := s.PolicyLine(id)
		p.Multi = p.Multi || a.Multi
		settled := *e
		settled.Counter = s.NextCounter()
		s.SaveLine(id, p.Activate(e.Package.EVR, settled.Counter))
		s.Put(&settled)
		e = &settled
		s.unretire(e.Body)
		s.After(func(o Observer) { o.ListPublished(e.Name, e.Package.Full()) })
	}
	switch {
	case e.State == record.Empty:
		s.Queue.Batch.PutList(e.List)
		return // nothing was decided
	case a.Decision.Grant:
		kind = audit.KindGrantUsed
	case a.Decision.Reason.Rollback() && e.Active():
		kind = audit.KindRollbackAllowed
	case a.Decision.Reason.Rollback():
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
	s.Queue.Batch.PutList(e.List)
	if quiet && kind == audit.KindPublished {
		return
	}
	why, text := string(a.Decision.Reason), a.Decision.Text
	if !e.Active() {
		why, text = e.Reason, e.Text // it may have been withdrawn since it was decided about
	}
	s.Event(record.Event{Kind: kind, Package: e.Package.Full(), List: e.Name, Digest: e.Body, Key: e.Key, Counter: e.Counter,
		Reason: why, Text: text, UID: by.UID, PID: by.PID})
}

// Retire forgets a list whose file is gone and raises what its line remembers.
func (s *State) Retire(e *view.Entry, reason string, by wire.Peer) (wasActive bool) {
	s.Queue.Batch.DeleteList(e.Name)
	if current := s.ByName[e.Name]; current != nil && current != e {
		s.Queue.Batch.PutList(current.List) // the same version was installed again from another build
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
	s.Event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Digest: e.Body, Key: e.Key, Counter: e.Counter,
		Reason: reason, UID: by.UID, PID: by.PID})
	s.After(func(o Observer) { o.ListWithdrawn(e.Name, e.Package.Full(), reason) })
	return true
}

func (s *State) retireLine(e *view.Entry) {
	id := view.LineOf(e.Package)
	s.SaveLine(id, s.PolicyLine(id).Retire(e.Package.EVR))
}

func (s *State) rememberBody(e *view.Entry, reason string) {
	s.setRetired(record.Retirement{Body: e.Body, Wide: e.Wide, List: e.Name, Package: e.Package, Own: e.Own, Version: e.Version, When: s.Now(), Reason: reason})
}

func (s *State) setRetired(r record.Retirement) {
	was, known := s.retired[r.Body]
	s.Undo.retired = append(s.Undo.retired, oldRetirement{r.Body, was, known})
	s.retired[r.Body] = r
	s.Queue.Batch.PutRetirement(r)
}

// unretire forgets that a body was retired: its list is active again.
func (s *State) unretire(body record.Digest) {
	if was, known := s.retired[body]; known {
		s.Undo.retired = append(s.Undo.retired, oldRetirement{body, was, true})
		delete(s.retired, body)
		s.Queue.Batch.DeleteRetirement(body)
	}
}
