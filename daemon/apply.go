// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store"
)

// reconciled is what a reconciliation did.
type reconciled struct {
	api.SyncResult
	gone  []withdrawn // their files may have to be bound to another list
	fresh []string    // lists whose files may bear another label still
	renew []withdrawn // lists that others took the place of, under the same name
	moved []string    // lists that have another name now
	out   leftOut
}

// fail notes that nothing could be done for a package; others go on.
func (r *reconciled) fail(p *installedPackage, err error) {
	r.Failed++
	r.out.fail(p, err)
}

// apply brings lists and index in line with what is installed, durably, in one
// commit. First what must go, then what comes: a crash in between leaves too
// little trusted, never too much.
func (s *state) apply(found []installedPackage) (r reconciled, err error) {
	r.Installed = len(found)
	s.tellOfKeys(len(found))
	slices.SortFunc(found, func(a, b installedPackage) int {
		return cmp.Or(cmp.Compare(a.pkg.Name, b.pkg.Name), cmp.Compare(a.pkg.Arch, b.pkg.Arch), nevra.Compare(a.pkg.EVR, b.pkg.EVR))
	})
	if publishes(found) {
		// A crash may leave lists that the index does not know yet.
		if err := s.needMark(); err != nil {
			return r, err
		}
	}
	if err := s.moveLists(found, &r); err != nil {
		return r, err
	}
	if err := s.withdrawOthers(s.claims(found, &r), &r); err != nil {
		return r, err
	}
	failpoint.Hit("sync-after-withdraw")

	initial := len(s.lines) == 0
	for _, p := range found {
		if p.fresh != nil {
			if err := s.applyFresh(p.fresh, initial, &r); err != nil {
				r.fail(&p, err)
			}
		}
	}
	s.tellOfLeftOut(&r.out)
	s.noteMoved(found)
	if initial && r.Published > 0 {
		s.event(store.Event{Kind: audit.KindFirstSync, Text: fmt.Sprintf("%d lists published", r.Published)})
	}
	failpoint.Hit("sync-after-publish")

	if r.Published+len(r.moved) > 0 {
		err = s.dir.Poke()
	}
	aside, ferr := s.foreign()
	r.Quarantined = aside
	err = errors.Join(err, ferr)
	was := s.interrupted
	s.interrupted = err != nil
	if s.dir.Dirty() {
		unsynced := slices.Concat(r.fresh, r.moved)
		if was {
			// A process that was killed may have published any of them, and not synced it.
			unsynced = s.activeNames()
		}
		err = errors.Join(err, s.syncLists(unsynced))
	}
	failpoint.Hit("sync-before-commit")
	s.clearMark()
	if err = errors.Join(err, s.commit()); err != nil {
		s.interrupted = s.interrupted || was
	}
	return r, err
}

// activeNames are the names of all lists that are in the directory.
func (s *state) activeNames() (names []string) {
	for _, e := range s.sorted() {
		if e.active() {
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
		s.put(&moved)
		s.batch.PutList(moved.List)
	}
}

// publishes reports whether a list is to come into the directory, for one of found.
func publishes(found []installedPackage) bool {
	return slices.ContainsFunc(found, func(p installedPackage) bool { return p.fresh != nil && p.fresh.staged != (store.Staged{}) })
}

// claims says which list each installed header stands for. When one version is
// installed twice, from two builds, there is one name for both: the list that
// stands keeps it, or the first.
func (s *state) claims(found []installedPackage, r *reconciled) map[store.Digest]string {
	byHeader := make(map[store.Digest]string, len(found))
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
		if e := s.byHeader[p.header]; e != nil && (p.err == nil || e.suspended() || e.active() && !e.broken && s.trusted(e) && s.allowed(e)) {
			byHeader[p.header], taken[e.Name] = e.Name, true
		}
	}
	for i := range found {
		p := &found[i]
		if p.fresh == nil {
			continue
		}
		if taken[p.fresh.name] {
			r.out.twice = append(r.out.twice, p.String())
			s.dir.Discard(p.fresh.staged)
			p.fresh = nil
			r.Withheld++
			continue
		}
		byHeader[p.header], taken[p.fresh.name] = p.fresh.name, true
	}
	return byHeader
}

// withdrawOthers takes away every list that no installed header stands for. One of
// another build of a version that is installed is replaced instead: that version
// was not removed, and what let it in still does.
func (s *state) withdrawOthers(installed map[store.Digest]string, r *reconciled) error {
	replaced := make(map[string]bool, len(installed))
	for header, name := range installed {
		if e := s.byName[name]; e != nil && e.Header != header {
			replaced[name] = true
		}
	}
	for _, e := range s.sorted() {
		if installed[e.Header] == e.Name || replaced[e.Name] || e.Own != "" || e.Change == store.Moving || e.Grace != "" && e.Grace == s.boot {
			continue
		}
		left := s.leaving(e)
		s.takeAway(e.Name)
		s.forget(e.Name)
		if s.retire(e, "removed", wire.Peer{}) {
			r.Withdrawn++
			r.gone = append(r.gone, left)
		}
	}
	return nil
}

// applyFresh publishes or withholds the list of an installed package.
func (s *state) applyFresh(c *candidate, initial bool, r *reconciled) error {
	d := s.unlessHeld(c, c.vouch)
	if d.Verdict == policy.Allow {
		d = s.unlessBanned(c.pkg, s.admit(c.pkg, c.multi), c.body, c.whole)
	}
	if d.Verdict == policy.Veto {
		d.Verdict = policy.WithholdList // it is installed already
	}
	previous := s.byName[c.name]
	if d.Verdict != policy.Allow {
		if d.Reason != policy.ReasonNoFiles {
			r.Withheld++
		}
		if previous != nil && previous.Header == c.header && !previous.active() && previous.Reason == string(d.Reason) {
			known := *previous
			known.refs = c.refs
			if !known.From.Equal(c.from) {
				known.From = c.from
				s.batch.PutList(known.List)
			}
			if d.Denial != "" && known.Text != d.Text {
				known.Text, known.Denied = d.Text, []string{d.Denial}
				s.batch.PutList(known.List)
			}
			s.put(&known)
			return nil
		}
		if previous != nil && previous.active() {
			r.Withdrawn++
			r.gone = append(r.gone, s.leaving(previous))
		}
		s.takeAway(c.name)
	} else {
		if previous != nil && previous.active() {
			left := withdrawn{entry: previous}
			if previous.Body != c.body {
				left = s.leaving(previous)
			}
			r.renew = append(r.renew, left)
		}
		if err := s.appear(c.staged, c.name, false); err != nil {
			return err
		}
		failpoint.Hit("sync-between-lists")
		c.staged = store.Staged{}
		r.Published++
		r.fresh = append(r.fresh, c.name)
	}
	a := &addition{candidate: *c, decision: d, previous: previous}
	e, err := s.entryOf(a)
	if err != nil {
		s.takeAway(c.name) // it would be nobody's
		return err
	}
	s.put(e)
	s.settle(e, a, wire.Peer{}, initial)
	return nil
}

// leaving reads the list of e before it leaves the directory, for the labels of its
// files.
func (s *state) leaving(e *entry) withdrawn {
	w := withdrawn{entry: e}
	if e.active() {
		w.data, _ = s.dir.Read(e.Name, nil)
	}
	return w
}
