// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// UsesGrant reports whether a list is published on the strength of a grant that only
// the end of its transaction uses up.
func (s *Grounds) UsesGrant(id view.LineID, evr nevra.EVR) bool {
	for t := range s.Open {
		for _, a := range t.Added {
			if a.Decision.Grant && a.Pkg.EVR == evr && view.LineOf(a.Pkg) == id {
				return true
			}
		}
	}
	return false
}

func (s *Grounds) RaiseFloor(id view.LineID, evr nevra.EVR, a record.Act) {
	s.SaveLine(id, s.PolicyLine(id).SetFloor(evr))
	l := s.Lines[id]
	l.FloorBy = &a
	if nevra.Compare(evr, l.Voided.EVR) >= 0 {
		l.Voided = record.Void{EVR: evr, Counter: s.Counter}
	}
	s.SetLine(l)
	for _, e := range slices.Clone(s.ByLine[id]) {
		if e.Granted && nevra.Compare(e.Package.EVR, evr) < 0 {
			// The newest act wins over the grant that let it in.
			plain := *e
			plain.Granted, plain.Void = false, true
			s.Save(&plain)
		}
	}
	s.Event(record.Event{Kind: audit.KindFloorSet, Package: id.String(), Reason: evr.String(), Text: a.Reason, UID: a.UID, PID: a.PID})
}

// BelowFloors finds the active lists of these names that are below a floor.
func (s *Grounds) BelowFloors(names ...string) (out []state.Suspension) {
	named := make(map[string]bool, len(names))
	for _, name := range names {
		named[name] = true
	}
	for _, e := range s.Sorted() {
		if !e.Active() {
			continue
		}
		if d := s.originRefused(s.Own[e.Own]); e.Own != "" && d.Verdict != policy.Allow {
			out = append(out, state.Suspension{Entry: e, Decision: d}) // imported as a package's header
			continue
		}
		if !named[e.Package.Name] {
			continue
		}
		if d := s.floorRefused(e); d.Verdict != policy.Allow {
			out = append(out, state.Suspension{Entry: e, Decision: d})
		}
	}
	return out
}

// SetFloorsOf lets an origin set these floors in the place of those that it set before. It
// records nothing: who brings them knows them again at the next start.
func (s *Grounds) SetFloorsOf(origin string, floors []policy.OriginFloor) {
	of := maps.Clone(s.FloorsOf) // an event may be taken back
	if of == nil {
		of = map[string][]policy.OriginFloor{}
	}
	if of[origin] = floors; len(floors) == 0 {
		delete(of, origin)
	}
	s.FloorsOf, s.Floors = of, policy.NewOriginFloors(slices.Collect(maps.Values(of))...)
}
