// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// CompileDenials takes over what is denied now: the owner's word first. Work in progress that
// used the former denials has to begin again.
func (s *Grounds) CompileDenials() {
	var list []policy.Denial
	s.Solved("denials")
	for _, id := range slices.Sorted(maps.Keys(s.Denied)) {
		d, err := view.PolicyDenial(s.Denied[id])
		if err != nil {
			s.Problem("denials", api.SeverityError, fmt.Sprintf("denial %s cannot be read and has no effect: %v", id, err),
				"lift it and add it again: digestctl deny lift "+id+" --reason WHY")
			continue
		}
		list = append(list, d)
	}
	for _, source := range slices.Sorted(maps.Keys(s.Others)) {
		list = append(list, s.Others[source]...)
	}
	s.Denials = policy.NewDenials(list, s.Now())
	s.Basis++
}

// DeniedLists finds the lists of denied packages, which must leave the directory, and
// those that may hold denied contents.
func (s *Grounds) DeniedLists(harmless map[*view.Entry]bool) (out []state.Suspension, hit []*view.Entry) {
	heads := s.Denials.Heads()
	for _, e := range s.Sorted() {
		if !e.Active() {
			continue
		}
		if d := s.Denials.Package(e.Package); d != nil {
			out = append(out, state.Suspension{Entry: e, Decision: s.Admit(e.Package, false)})
		} else if d := s.originRefused(s.Own[e.Own]); e.Own != "" && d.Verdict != policy.Allow {
			out = append(out, state.Suspension{Entry: e, Decision: d})
		} else if e.Refs.HitBy(heads) && !harmless[e] {
			hit = append(hit, e)
		}
	}
	return out, hit
}

// Reduction is a list as it will be without what is denied.
type Reduction struct {
	view.Candidate
	Entry     *view.Entry
	Harmless  bool // it holds nothing that is denied
	Err       error
	Published bool
	Out       bool // it left the directory
}

// ReplaceReduced exchanges lists for those without what is denied. One that could
// not be made leaves the directory; reconciliation may make it anew.
func (s *Grounds) ReplaceReduced(all []*Reduction, basis uint64) {
	if s.Basis != basis {
		return // once more, by what holds now
	}
	var out []state.Suspension
	for _, r := range all {
		switch {
		case s.ByName[r.Entry.Name] != r.Entry || r.Harmless:
		case r.Err == nil:
			s.exchange(r)
		default:
			r.Out = true
			out = append(out, s.unreduced(r))
		}
	}
	s.Suspend(out)
}

// exchange publishes a list without what is denied in the place of the one with
// it. That is an activation like another.
func (s *Grounds) exchange(r *Reduction) {
	staged := r.Staged
	r.Staged = record.Staged{}
	s.Sync(r.Name)
	s.Plan.Publish = append(s.Plan.Publish, state.Publication{Name: r.Name, Staged: staged, Largest: r.Entry.Largest, Poke: true, Then: state.Do(func(p state.Published) error {
		if r.Err = p.Err; r.Err != nil {
			r.Out = true
			s.Suspend([]state.Suspension{s.unreduced(r)})
			return nil
		}
		r.Published = true
		s.exchanged(r, p.Stamp)
		return nil
	})})
}

func (s *Grounds) exchanged(r *Reduction, stamp record.Stamp) {
	e := *r.Entry
	e.Wide = r.Wide
	e.Body, e.File, e.Signer, e.Files, e.Refs, e.Stamp = r.Body, r.File, r.Signer, r.Files, r.Refs, stamp
	e.Denied, e.Left, e.Broken = mergeIDs(r.Entry.Denied, r.Omitted.IDs), r.Entry.Left+len(r.Omitted.Paths), false
	if s.Pending(r.Entry) {
		s.Put(&e)
		return
	}
	e.Counter = s.NextCounter()
	if id := view.LineOf(e.Package); e.Grace == "" {
		s.SaveLine(id, s.PolicyLine(id).Activate(e.Package.EVR, e.Counter))
	}
	s.RememberBody(r.Entry, state.RetiredDenied)
	s.Unretire(e.Body)
	s.Save(&e)
	s.Event(record.Event{Kind: audit.KindReduced, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter,
		Reason: string(policy.ReasonDenied), Text: r.Omitted.Text(e.Package.String())})
	s.After(func(o state.Observer) { o.ListPublished(e.Name, e.Package.Full()) })
	s.Record()
}

func mergeIDs(a, b []string) []string {
	ids := slices.Concat(a, b)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// unreduced is what becomes of a list that cannot do without what is denied.
func (s *Grounds) unreduced(r *Reduction) state.Suspension {
	why := "its list could not be made without it: " + r.Err.Error()
	if errors.Is(r.Err, digestlist.ErrEmpty) {
		why = Emptied
	}
	d := &policy.Denial{}
	if len(r.Omitted.By) > 0 {
		d = r.Omitted.By[0]
	} else if found := s.hitting(r.Entry); found != nil {
		d = found
	}
	return state.Suspension{Entry: r.Entry, Decision: policy.Emptied(r.Entry.Package, *d, why)}
}

// hitting returns a denial that may be about something in the list of e.
func (s *Grounds) hitting(e *view.Entry) *policy.Denial {
	return s.Denials.Find(func(head uint64) bool { return e.Refs.HasDigest(head) })
}

const Emptied = "its list would be empty"
