// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// retiredDenied is why a body must not come back that holds what is denied.
const retiredDenied = "replaced by a list without what is denied"

// compileDenials takes over what is denied now: the owner's word first. What is
// under way by what was denied before has to begin again.
func (s *state) compileDenials() {
	var list []policy.Denial
	s.solved("denials")
	for _, id := range slices.Sorted(maps.Keys(s.denied)) {
		d, err := view.PolicyDenial(s.denied[id])
		if err != nil {
			s.problem("denials", api.SeverityError, fmt.Sprintf("denial %s cannot be read and has no effect: %v", id, err),
				"lift it and say it again: digestctl deny lift "+id+" --reason WHY")
			continue
		}
		list = append(list, d)
	}
	for _, source := range slices.Sorted(maps.Keys(s.others)) {
		list = append(list, s.others[source]...)
	}
	s.denials = policy.NewDenials(list, s.now())
	s.basis++
}

// complete reports whether a list leaves out no more than is denied still.
func (s *state) complete(e *view.Entry) bool {
	return !slices.ContainsFunc(e.Denied, func(id string) bool { return s.denials.ByID(id) == nil })
}

// deniedLists finds the lists of denied packages, which must leave the directory, and
// those that may hold denied contents.
func (s *state) deniedLists(harmless map[*view.Entry]bool) (out []suspension, hit []*view.Entry) {
	heads := s.denials.Heads()
	for _, e := range s.sorted() {
		if !e.Active() {
			continue
		}
		if d := s.denials.Package(e.Package); d != nil {
			out = append(out, suspension{e, s.admit(e.Package, false)})
		} else if d := s.originRefused(s.own[e.Own]); e.Own != "" && d.Verdict != policy.Allow {
			out = append(out, suspension{e, d})
		} else if e.Refs.HitBy(heads) && !harmless[e] {
			hit = append(hit, e)
		}
	}
	return out, hit
}

// suspension is a list that must leave the directory, and why.
type suspension struct {
	entry    *view.Entry
	decision policy.Decision
}

// suspend takes lists out of the directory and keeps what they were, for the day
// that the denial is lifted, the floor cleared, or a key vouches for them again. What
// was queued before, why they go, is durable first.
func (s *state) suspend(list []suspension) {
	if len(list) == 0 {
		return
	}
	s.setMark() // a crash may leave a list that is withheld on record
	s.intend()
	for _, x := range list {
		e, dec, reason := x.entry, x.decision, string(x.decision.Reason)
		s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: e.Name, entry: e})
		s.sync(e.Name)
		if e.Grace != "" {
			s.forget(e.Name)
			s.retire(e, reason, wire.Peer{})
			continue
		}
		w := *e
		w.State, w.Reason, w.Text, w.Denied = record.Withheld, reason, dec.Text, nil
		if dec.Denial != "" {
			w.Denied = []string{dec.Denial}
		}
		w.File, w.Signer, w.Left, w.Broken, w.Since = record.Digest{}, "", 0, false, s.now()
		if s.pending(e) {
			w.Counter = 0
			s.put(&w)
			continue
		}
		s.rememberBody(e, reason)
		s.save(&w)
		s.event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter,
			Reason: reason, Text: dec.Text})
		s.after(func(o observer) { o.ListWithdrawn(e.Name, e.Package.Full(), reason) })
	}
	s.record()
}

// reduction is a list as it will be without what is denied.
type reduction struct {
	view.Candidate
	entry     *view.Entry
	harmless  bool // it holds nothing that is denied
	err       error
	published bool
	out       bool // it left the directory
}

// replaceReduced exchanges lists for those without what is denied. One that could
// not be made leaves the directory; reconciliation may make it anew.
func (s *state) replaceReduced(all []*reduction, basis uint64) {
	if s.basis != basis {
		return // once more, by what holds now
	}
	var out []suspension
	for _, r := range all {
		switch {
		case s.byName[r.entry.Name] != r.entry || r.harmless:
		case r.err == nil:
			s.exchange(r)
		default:
			r.out = true
			out = append(out, s.unreduced(r))
		}
	}
	s.suspend(out)
}

// exchange publishes a list without what is denied in the place of the one with
// it. That is an activation like another.
func (s *state) exchange(r *reduction) {
	staged := r.Staged
	r.Staged = record.Staged{}
	s.sync(r.Name)
	s.plan.publish = append(s.plan.publish, publication{name: r.Name, staged: staged, poke: true, then: func(p published) error {
		if r.err = p.err; r.err != nil {
			r.out = true
			s.suspend([]suspension{s.unreduced(r)})
			return nil
		}
		r.published = true
		s.exchanged(r, p.stamp)
		return nil
	}})
}

func (s *state) exchanged(r *reduction, stamp record.Stamp) {
	e := *r.entry
	e.Wide = r.Wide
	e.Body, e.File, e.Signer, e.Files, e.Refs, e.Stamp = r.Body, r.File, r.Signer, r.Files, r.Refs, stamp
	e.Denied, e.Left, e.Broken = mergeIDs(r.entry.Denied, r.Omitted.IDs), r.entry.Left+len(r.Omitted.Paths), false
	if s.pending(r.entry) {
		s.put(&e)
		return
	}
	e.Counter = s.nextCounter()
	if id := view.LineOf(e.Package); e.Grace == "" {
		s.saveLine(id, s.policyLine(id).Activate(e.Package.EVR, e.Counter))
	}
	s.rememberBody(r.entry, retiredDenied)
	s.unretire(e.Body)
	s.save(&e)
	s.event(record.Event{Kind: audit.KindReduced, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter,
		Reason: string(policy.ReasonDenied), Text: r.Omitted.Text(e.Package.String())})
	s.after(func(o observer) { o.ListPublished(e.Name, e.Package.Full()) })
	s.record()
}

// pending reports whether e came with a transaction that has not ended: then its
// end records it.
func (s *state) pending(e *view.Entry) bool {
	for t := range s.open {
		if a := t.added[e.Header]; a != nil && !a.reused {
			return true
		}
	}
	return false
}

func mergeIDs(a, b []string) []string {
	ids := slices.Concat(a, b)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// unreduced is what becomes of a list that cannot do without what is denied.
func (s *state) unreduced(r *reduction) suspension {
	why := "its list could not be made without it: " + r.err.Error()
	if errors.Is(r.err, digestlist.ErrEmpty) {
		why = emptied
	}
	d := &policy.Denial{}
	if len(r.Omitted.By) > 0 {
		d = r.Omitted.By[0]
	} else if found := s.hitting(r.entry); found != nil {
		d = found
	}
	return suspension{r.entry, policy.Emptied(r.entry.Package, *d, why)}
}

// hitting returns a denial that may be about something in the list of e.
func (s *state) hitting(e *view.Entry) *policy.Denial {
	return s.denials.Find(func(head uint64) bool { return e.Refs.HasDigest(head) })
}
