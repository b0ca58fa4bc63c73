// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// reconciled is what a reconciliation did.
type reconciled struct {
	api.SyncResult
	fresh []string // lists whose files may bear another label still
	moved []string // lists that have another name now
	out   leftOut

	initial   bool // nothing was known before
	ownFailed int  // own lists that could not be made anew
}

// fail notes that nothing could be done for a package; others go on.
func (r *reconciled) fail(p *installedPackage, err error) {
	r.Failed++
	r.out.fail(p, err)
}

// apply brings lists and index in line with what is installed. The result is complete
// once the plan has been carried out; see settled.
func (s *state) apply(found []installedPackage, r *reconciled) {
	r.Installed = len(found)
	s.tellOfKeys(len(found))
	slices.SortFunc(found, func(a, b installedPackage) int {
		return cmp.Or(cmp.Compare(a.pkg.Name, b.pkg.Name), cmp.Compare(a.pkg.Arch, b.pkg.Arch), nevra.Compare(a.pkg.EVR, b.pkg.EVR))
	})
	s.moveLists(found, r)
	s.withdrawOthers(s.claims(found, r), r)
	initial := len(s.lines) == 0
	for _, p := range found {
		if p.fresh != nil {
			s.applyFresh(&p, initial, r)
		}
	}
	r.initial = initial
}

// settled ends what apply began, once nothing lies in the directory that does not belong
// there: everything is durable with one commit. failed is why that is not known.
func (s *state) settled(found []installedPackage, r *reconciled, failed error) {
	s.tellOfLeftOut(&r.out)
	s.noteMoved(found)
	if r.initial && r.Published > 0 {
		s.event(record.Event{Kind: audit.KindFirstSync, Text: fmt.Sprintf("%d lists published", r.Published)})
	}
	names := slices.Concat(r.fresh, r.moved)
	if s.unsettled {
		// Another process may have published any of them, and not synced it.
		names = s.activeNames()
	}
	s.unsettled = failed != nil
	s.plan.poke = r.Published+len(r.moved) > 0
	s.sync(names...)
	s.record()
}

// activeNames are the names of all lists that are in the directory.
func (s *state) activeNames() (names []string) {
	for _, e := range s.sorted() {
		if e.Active() {
			names = append(names, e.Name)
		}
	}
	return names
}

// noteMoved records where rpm installed the files of packages that it relocated.
func (s *state) noteMoved(found []installedPackage) {
	for _, p := range found {
		e := s.byHeader[p.header]
		if e == nil || p.err != nil || slices.EqualFunc(e.Moved, p.moved, header.Relocation.Equal) {
			continue
		}
		moved := *e
		moved.Moved = p.moved
		s.save(&moved)
	}
}

// claims says which list each installed header stands for. When one version is
// installed twice, from two builds, there is one name for both: the list that
// stands keeps it, or the first.
func (s *state) claims(found []installedPackage, r *reconciled) map[record.Digest]string {
	byHeader := make(map[record.Digest]string, len(found))
	taken := make(map[string]bool, len(found))
	for i := range found {
		p := &found[i]
		switch {
		case errors.Is(p.err, header.ErrNoRegion):
			r.Withheld++
			r.out.unsignable = append(r.out.unsignable, p.String())
		case p.err != nil:
			r.fail(p, p.err)
		case p.fresh == nil:
			r.Kept++
		}
		if p.fresh != nil {
			continue
		}
		// A list that stood stays even if its header could not be looked at this
		// time: the failure is ours, not the package's.
		if e := s.byHeader[p.header]; e != nil && (p.err == nil || e.Suspended() || e.Active() && !e.Broken && s.trusted(e) && s.allowed(e)) {
			byHeader[p.header], taken[e.Name] = e.Name, true
		}
	}
	for i := range found {
		p := &found[i]
		if p.fresh == nil {
			continue
		}
		if taken[p.fresh.Name] {
			r.out.twice = append(r.out.twice, p.String())
			s.discard(p.fresh.Staged)
			p.fresh = nil
			r.Withheld++
			continue
		}
		byHeader[p.header], taken[p.fresh.Name] = p.fresh.Name, true
	}
	return byHeader
}

// withdrawOthers takes away every list that no installed header stands for. One of
// another build of a version that is installed is replaced instead: that version
// was not removed, and what let it in still does.
func (s *state) withdrawOthers(installed map[record.Digest]string, r *reconciled) {
	replaced := make(map[string]bool, len(installed))
	for header, name := range installed {
		if e := s.byName[name]; e != nil && e.Header != header {
			replaced[name] = true
		}
	}
	for _, e := range s.sorted() {
		if installed[e.Header] == e.Name || replaced[e.Name] || e.Own != "" || e.Change == record.Moving || e.Grace != "" && e.Grace == s.boot {
			continue
		}
		w := withdrawal{name: e.Name}
		s.forget(e.Name)
		if s.retire(e, "removed", wire.Peer{}) {
			r.Withdrawn++
			w.entry = e
		}
		s.plan.withdraw = append(s.plan.withdraw, w)
	}
}

// applyFresh publishes or withholds the list of an installed package.
func (s *state) applyFresh(found *installedPackage, initial bool, r *reconciled) {
	c := found.fresh
	d := s.unlessHeld(c, c.Vouch)
	if d.Verdict == policy.Allow {
		d = s.unlessBanned(c.Pkg, s.admit(c.Pkg, c.Multi), c.Body, c.Whole)
	}
	if d.Verdict == policy.Veto {
		d.Verdict = policy.WithholdList // it is installed already
	}
	previous := s.byName[c.Name]
	a := &addition{Candidate: *c, decision: d, previous: previous}
	if d.Verdict == policy.Allow {
		x := publication{name: c.Name, staged: c.Staged, then: func(p published) error {
			if p.err != nil {
				r.fail(found, p.err)
				return nil
			}
			r.Published++
			r.fresh = append(r.fresh, c.Name)
			e := s.entryOf(a, p.stamp)
			s.put(e)
			s.settle(e, a, wire.Peer{}, initial)
			return nil
		}}
		if previous != nil && previous.Active() {
			x.previous, x.read = previous, previous.Body != c.Body
		}
		c.Staged = record.Staged{}
		s.plan.publish = append(s.plan.publish, x)
		return
	}
	if d.Reason != policy.ReasonNoFiles {
		r.Withheld++
	}
	if previous != nil && previous.Header == c.Header && !previous.Active() && previous.Reason == string(d.Reason) {
		s.withheldStill(previous, c, d)
		return
	}
	w := withdrawal{name: c.Name}
	if previous != nil && previous.Active() {
		r.Withdrawn++
		w.entry = previous
	}
	s.plan.withdraw = append(s.plan.withdraw, w)
	e := s.entryOf(a, record.Stamp{})
	s.put(e)
	s.settle(e, a, wire.Peer{}, initial)
}

// withheldStill takes over what is new of a list that is withheld for the same reason as
// before.
func (s *state) withheldStill(e *view.Entry, c *view.Candidate, d policy.Decision) {
	known := *e
	known.Refs = c.Refs
	changed := !known.From.Equal(c.From)
	known.From = c.From
	if d.Denial != "" && known.Text != d.Text {
		known.Text, known.Denied = d.Text, []string{d.Denial}
		changed = true
	}
	if changed {
		s.save(&known)
	} else {
		s.put(&known)
	}
}
