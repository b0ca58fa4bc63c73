// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// PlanDenials merges a document into what is denied. Of what ended it knows
// nothing new.
func (s *Grounds) PlanDenials(wanted []record.Denial, a record.Act) ([]view.Planned, error) {
	standing := map[string]*view.Planned{}
	find := map[string]string{} // an ID by digest or package
	enter := func(p *view.Planned) {
		standing[p.ID] = p
		for _, c := range p.Contents {
			find[c.String()] = p.ID
		}
		if len(p.Contents) == 0 {
			find[p.Subject()] = p.ID
		}
	}
	taken := maps.Clone(s.Denied)
	for _, p := range s.Owners() {
		enter(&view.Planned{Action: "", Denial: p, Record: s.Denied[p.ID]})
	}
	var order []*view.Planned
	for _, d := range wanted {
		p, err := view.PolicyDenial(d)
		if err != nil {
			return nil, err
		}
		p.By = view.ByOwner(a.UID)
		if p.Expired(s.Now()) {
			order = append(order, &view.Planned{Action: api.DenialExpired, Denial: p, Record: d})
			continue
		}
		id := find[p.Subject()]
		for _, c := range p.Contents {
			id = cmp.Or(id, find[c.String()])
		}
		if id == "" {
			p.ID = view.NewDenialID(p.Subject(), taken)
			d.ID, d.UID, d.PID = p.ID, a.UID, a.PID
			if d.When.IsZero() || d.When.After(a.When) {
				d.When = a.When
			}
			taken[p.ID] = d
			n := &view.Planned{Action: api.DenialAdded, Denial: p, Record: d}
			enter(n)
			order = append(order, n)
			continue
		}
		old := standing[id]
		merged := old.Merge(p)
		record := view.RecordOf(merged, cmp.Or(old.Record.Path, d.Path), old.Record.Act)
		changed := !slices.Equal(record.Digests, old.Record.Digests) || record.Ticket != old.Record.Ticket ||
			!record.Expires.Equal(old.Record.Expires) || record.Path != old.Record.Path
		if old.Action == "" {
			old.Action = api.DenialSame
			order = append(order, old)
		}
		if changed && old.Action == api.DenialSame {
			old.Action = api.DenialMerged
		}
		old.Denial, old.Record = merged, record
		enter(old)
	}
	if len(taken) > api.MaxDenials {
		return nil, api.Errorf(api.Failed, "it would bring the number of denials to %d; the limit is %d", len(taken), api.MaxDenials)
	}
	plan := make([]view.Planned, len(order))
	for i, p := range order {
		plan[i] = *p
	}
	return plan, nil
}

// CarryPlan records what an import changes. A few have an entry of the log each;
// many must not push everything else out of it.
func (s *Grounds) CarryPlan(plan []view.Planned, by api.Actor) {
	const many = 200
	n := 0
	s.Denied = maps.Clone(s.Denied)
	for _, p := range plan {
		if p.Action != api.DenialAdded && p.Action != api.DenialMerged {
			continue
		}
		if n++; n <= many {
			s.Event(record.Event{Kind: audit.KindDenied, Package: p.Subject(), Reason: p.Ticket, Text: p.Reason, UID: by.UID, PID: by.PID})
			s.After(func(o state.Observer) { o.Denied(p.ID, p.Subject(), p.Reason) })
		}
		s.Denied[p.ID] = p.Record
		s.Decided(true)
		s.Queue.Batch.PutDenial(p.Record)
	}
	if n > many {
		s.Event(record.Event{Kind: audit.KindDenied, Package: fmt.Sprintf("and %d more", n-many), Text: "by the same document", UID: by.UID, PID: by.PID})
	}
}
