// SPDX-License-Identifier: Apache-2.0

package state

import (
	"slices"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store/record"
)

// Settle enters a list that has become active, or was withheld, into its line
// and into the log. A first sync is quiet: one entry stands for all its lists.
func (s *State) Settle(e *view.Entry, a *Addition, by wire.Peer, quiet bool) {
	if p := a.Previous; p != nil && p.Package == e.Package && !e.Active() && e.Counter == 0 && p.Counter > 0 && p.Grace == "" {
		// That this version was active is not forgotten where its other build was
		// withdrawn before the transaction ended.
		still := *e
		still.Counter, still.Granted, still.Void = p.Counter, p.Granted, p.Void
		s.Put(&still)
		e = &still
	}
	id := view.LineOf(e.Package)
	kind, used := audit.KindWithheld, a.Decision.Grant
	if e.Active() {
		kind = audit.KindPublished
		p := s.PolicyLine(id)
		p.Multi = p.Multi || a.Multi
		settled := *e
		settled.Counter = s.NextCounter()
		// Activate uses a grant up even if the version came for another reason.
		used = used || slices.Contains(p.Grants, e.Package.EVR)
		settled.Granted = settled.Granted || used
		s.SaveLine(id, p.Activate(e.Package.EVR, settled.Counter))
		s.Put(&settled)
		e = &settled
		s.Unretire(e.Body)
		s.After(func(o Observer) { o.ListPublished(e.Name, e.Package.Full()) })
	}
	switch {
	case e.State == record.Empty:
		s.Queue.Batch.PutList(e.List)
		return // nothing was decided
	case used:
		kind = audit.KindGrantUsed
	case a.Decision.Reason.Rollback() && e.Active():
		kind = audit.KindRollbackAllowed
	case a.Decision.Reason.Rollback():
		kind = audit.KindRollbackWithheld
	}
	if p := a.Previous; p != nil && !p.Body.IsZero() && p.Body != e.Body {
		switch {
		case p.Header != e.Header:
			s.RememberBody(p, "replaced by another build of the same version")
		case e.Left > p.Left:
			s.RememberBody(p, RetiredDenied)
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
			s.RetireLine(e) // it was active, and its body is remembered already
		}
		return false
	}
	s.RememberBody(e, reason)
	if e.Grace == "" {
		s.RetireLine(e)
	}
	s.Event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Digest: e.Body, Key: e.Key, Counter: e.Counter,
		Reason: reason, UID: by.UID, PID: by.PID})
	s.After(func(o Observer) { o.ListWithdrawn(e.Name, e.Package.Full(), reason) })
	return true
}

func (s *State) RetireLine(e *view.Entry) {
	id := view.LineOf(e.Package)
	s.SaveLine(id, s.PolicyLine(id).Retire(e.Package.EVR))
}

func (s *State) RememberBody(e *view.Entry, reason string) {
	s.SetRetired(record.Retirement{Body: e.Body, Wide: e.Wide, List: e.Name, Package: e.Package, Own: e.Own, Version: e.Version, When: s.Now(), Reason: reason})
}

func (s *State) SetRetired(r record.Retirement) {
	was, known := s.Retired[r.Body]
	s.Undo.Retired = append(s.Undo.Retired, OldRetirement{r.Body, was, known})
	s.Retired[r.Body] = r
	s.Queue.Batch.PutRetirement(r)
}

// Unretire forgets that a body was retired: its list is active again.
func (s *State) Unretire(body record.Digest) {
	if was, known := s.Retired[body]; known {
		s.Undo.Retired = append(s.Undo.Retired, OldRetirement{body, was, true})
		delete(s.Retired, body)
		s.Queue.Batch.DeleteRetirement(body)
	}
}
