// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// transaction is one run of a package manager, from Begin to End or to the
// loss of the connection. Its fields belong to the owner of the state.
type transaction struct {
	peer     wire.Peer
	rootDev  uint64 // device number of the file system it installs into; 0: not known
	elements []policy.Element
	test     bool
	check    bool // asked about before anything is downloaded; test, too
	dbOnly   bool // no file is touched: --justdb
	assured  bool // the package manager was told that no package will be refused
	// takenOver: it began under another digestd. A comparison follows its end.
	takenOver bool
	unlisted  bool // a package with files got no list: before it syncs, it waits for the end

	added   map[record.Digest]*addition // by header
	byIndex map[uint32]*addition        // by element
	removed []*view.Entry               // withdrawn, in order
	kept    []*view.Entry               // replaced, and allowed to stay until the machine restarts
	touched []string                    // names of lists that must be durable at the end
	renew   []withdrawn                 // lists that left or were replaced, for the labels of their files before the answer
}

// addition is a package that the transaction brings.
type addition struct {
	view.Candidate
	decision  policy.Decision
	previous  *view.Entry   // what stood under its name before
	replaced  record.Staged // the list of previous, until it is known that it is not needed again
	installed bool
	reused    bool // its list was active before the transaction
}

// asked asks policy about every element. A veto touches nothing. What a trial
// meets is not recorded: nobody was stopped by it.
func (s *state) asked(t *transaction) []policy.ElementDecision {
	s.expireDenials()
	decisions := policy.AdmitTransaction(s.mode, t.elements, func(pkg nevra.NEVRA) policy.Line { return s.lineFor(pkg, t) })
	for _, d := range decisions {
		if d.Verdict == policy.Veto && (!t.test || t.check) {
			s.refused(t, d.NEVRA, d.Decision)
		}
	}
	return decisions
}

// assure reports whether the package manager need not wait for what becomes of
// each package.
func (s *state) assure(t *transaction) bool {
	t.assured = policy.Assured(s.mode, t.elements, s.keyring.Revokes(), func(pkg nevra.NEVRA) policy.Line { return s.lineFor(pkg, t) })
	return t.assured
}

// opened registers the transaction, and queues a mark for the next commit: once
// that is durable, lists may appear that the index does not know, and a start
// after a crash must not take them for an intruder's.
func (s *state) opened(t *transaction) {
	s.open[t] = true
	s.generation++
	s.setMark()
}

// refused records a package that was stopped.
func (s *state) refused(t *transaction, pkg nevra.NEVRA, d policy.Decision) {
	kind := audit.KindRefused
	if d.Reason.Rollback() {
		kind = audit.KindRollbackRefused
		s.after(func(o observer) { o.RollbackRefused(pkg.Full(), string(d.Reason)) })
	}
	s.event(record.Event{Kind: kind, Package: pkg.Full(), Reason: string(d.Reason), Text: d.Text, UID: t.peer.UID, PID: t.peer.PID})
}

// consider says what to do with a header before any work is spent on it: the
// list that is active for the very same header, or a decision.
func (s *state) consider(t *transaction, element uint32, c *view.Candidate, restore bool) (*view.Entry, policy.Decision) {
	digest := c.Header
	if e := s.byHeader[digest]; e != nil && e.Active() && !e.Broken && s.trusted(e) {
		if !restore && t.added[digest] == nil {
			a := &addition{Candidate: view.Candidate{Pkg: e.Package, Header: digest, Name: e.Name}, reused: true}
			t.added[digest] = a
		}
		if a := t.added[digest]; a != nil {
			t.byIndex[element] = a
		}
		return e, policy.Decision{Verdict: policy.Allow}
	}
	return nil, s.admitIn(t, c.Pkg, c.Multi)
}

// add publishes the list of a verified package, or withholds it. The package is
// not installed yet: what is recorded becomes durable at the end, and only if
// the package manager says that it was. What becomes of it is in the addition when the
// plan has been carried out.
func (s *state) add(t *transaction, element uint32, c *view.Candidate) (*addition, error) {
	if c.Basis != s.basis {
		return nil, errAgain
	}
	a := &addition{Candidate: *c, decision: s.unlessHeld(c, c.Vouch), previous: s.byName[c.Name]}
	if earlier := t.added[c.Header]; earlier != nil {
		a.previous, a.replaced = earlier.previous, earlier.replaced
	}
	if a.decision.Verdict == policy.Allow {
		a.decision = s.unlessBanned(c.Pkg, s.admitIn(t, c.Pkg, c.Multi), c.Body, c.Whole)
	}
	if t.assured {
		a.decision = a.decision.Keep()
	}
	switch a.decision.Verdict {
	case policy.Allow:
		x := publication{name: c.Name, staged: c.Staged, keep: true, then: func(p published) error {
			if p.err == nil {
				s.keep(a, p.old)
				t.touched = append(t.touched, c.Name)
				s.added(t, element, a, p.stamp)
			}
			return p.err
		}}
		if p := a.previous; p != nil && p.Active() {
			x.previous = p
		}
		s.plan.publish = append(s.plan.publish, x)
		return a, nil
	case policy.Veto:
		s.discard(c.Staged)
		s.refused(t, c.Pkg, a.decision)
		return a, nil
	}
	s.discard(c.Staged)
	s.added(t, element, a, record.Stamp{})
	if p := a.previous; p != nil && p.Active() {
		// The same version, built anew, and not to be trusted: the old build's
		// list must not vouch under its name while its files are replaced.
		s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: a.Name, entry: p, kept: func(old record.Staged) { s.keep(a, old) }})
	}
	return a, nil
}

// added enters an addition, which has its list or will have none.
func (s *state) added(t *transaction, element uint32, a *addition, stamp record.Stamp) {
	t.added[a.Header] = a
	t.byIndex[element] = a
	s.put(s.entryOf(a, stamp))
}

// discard removes a staged list that is not wanted any more.
func (s *state) discard(list record.Staged) {
	if list != (record.Staged{}) {
		s.plan.discard = append(s.plan.discard, list)
	}
}

// keep holds on to the list that a's took the place of. If the transaction publishes
// under that name once more, it is the first that could come back.
func (s *state) keep(a *addition, old record.Staged) {
	if p := a.previous; p != nil && p.Active() && !p.Broken && a.replaced == (record.Staged{}) {
		a.replaced = old
		return
	}
	s.discard(old)
}

// entryOf makes the entry of an addition as it now stands. stamp is of its file, if it
// has one.
func (s *state) entryOf(a *addition, stamp record.Stamp) *view.Entry {
	s.noteOmitted(a.Omitted)
	e := &view.Entry{Refs: a.Refs, List: record.List{
		Name: a.Name, Package: a.Pkg, Header: a.Header, Body: a.Body, Wide: a.Wide, File: a.File,
		Files: a.Files, Since: s.now(), Reason: string(a.decision.Reason), Text: a.decision.Text,
		Granted: a.decision.Grant, State: record.Active, Signer: a.Signer,
		Denied: a.Omitted.IDs, Left: len(a.Omitted.Paths),
	}}
	s.justify(e, &a.Candidate)
	if a.decision.Verdict != policy.Allow {
		e.State, e.File, e.Signer = record.Withheld, record.Digest{}, ""
		e.Denied, e.Left = nil, 0
		if p := a.previous; p != nil && p.Package == a.Pkg {
			// That this version was active is not forgotten while it has no list.
			e.Counter, e.Granted = p.Counter, p.Granted
		}
		if a.decision.Denial != "" {
			e.Denied = []string{a.decision.Denial}
		}
		if a.decision.Reason == policy.ReasonNoFiles {
			e.State = record.Empty
		}
		return e
	}
	if p := a.previous; p != nil && a.decision.Reason == policy.ReasonActive {
		// Published anew, it is there for the same reason as before.
		switch {
		case p.Active():
			e.Granted, e.Reason, e.Text = p.Granted, p.Reason, p.Text
		case p.Suspended():
			e.Granted, e.Reason = p.Granted, ""
		}
	}
	e.Stamp = stamp
	return e
}

// installed notes that an element's package is in rpm's database.
func (s *state) installed(t *transaction, element uint32) {
	if a := t.byIndex[element]; a != nil {
		a.installed = true
	}
}

// failed takes back what add published for an element that did not get in.
func (s *state) failed(t *transaction, element uint32) {
	if a := t.byIndex[element]; a != nil && !a.installed && !a.reused {
		s.takeBack(t, a)
	}
}

func (s *state) takeBack(t *transaction, a *addition) {
	delete(t.added, a.Header)
	for i, b := range t.byIndex {
		if a == b {
			delete(t.byIndex, i)
		}
	}
	e := s.byName[a.Name]
	if e == nil || e.Header != a.Header {
		s.discard(a.replaced)
		return
	}
	leaving := e
	if !e.Active() {
		leaving = nil // it has no list
	}
	s.forget(a.Name)
	if a.previous == nil {
		s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: a.Name, entry: leaving})
		return
	}
	s.put(a.previous)
	if !s.comesBack(a) {
		s.discard(a.replaced)
		s.lost(a, leaving)
		return
	}
	replaced := a.replaced
	a.replaced = record.Staged{}
	s.plan.publish = append(s.plan.publish, publication{name: a.Name, staged: replaced, poke: true, previous: leaving, read: true, then: func(p published) error {
		if p.err != nil {
			s.unsettled = true // something may be left in the directory
			s.lost(a, leaving)
			return p.err
		}
		back := *a.previous
		back.Stamp = p.stamp
		s.put(&back)
		return nil
	}})
}

// comesBack reports whether the list that a replaced may be published as it was: what
// vouched for it may have been withdrawn meanwhile.
func (s *state) comesBack(a *addition) bool {
	p := a.previous
	return a.replaced != (record.Staged{}) && s.trusted(p) && s.allowed(p) && s.complete(p) && !p.Refs.HitBy(s.denials.Heads())
}

// lost takes the list of a away where the one before it cannot come back;
// reconciliation makes that anew from rpm's database.
func (s *state) lost(a *addition, leaving *view.Entry) {
	s.mark(a.previous)
	s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: a.Name, entry: leaving})
}

// remove withdraws the list of a package that was erased. It returns the list
// that must be withdrawn, after the caller has rebound the files it shares.
func (s *state) remove(t *transaction, element uint32, digest record.Digest) *view.Entry {
	e := s.byHeader[digest]
	if e == nil {
		e = s.supplanted(t, element)
	}
	if e == nil {
		return nil
	}
	if t.added[digest] != nil {
		return nil // the same package was installed again
	}
	return e
}

// supplanted returns the entry of the version that an element erases, if the list of that
// was replaced by one of another build, in a transaction that was cut short: no header
// that is installed leads to it any more.
func (s *state) supplanted(t *transaction, element uint32) *view.Entry {
	if !s.unsettled || int(element) >= len(t.elements) {
		return nil
	}
	pkg := t.elements[element].NEVRA
	for _, e := range s.byLine[view.LineOf(pkg)] {
		if e.Package == pkg && e.Broken {
			return e
		}
	}
	return nil
}

// removeNow takes the list of e out of the directory.
func (s *state) removeNow(t *transaction, e *view.Entry) {
	if s.byName[e.Name] != e {
		return
	}
	if s.keepOld && e.Active() && t.replaces(e) {
		grace := *e
		grace.Grace = s.boot
		grace.Text = "replaced; stays until the machine restarts, for what still runs from it"
		s.put(&grace)
		t.kept = append(t.kept, &grace)
		return
	}
	w := withdrawal{name: e.Name}
	if e.Active() {
		w.entry = e
	}
	s.plan.withdraw = append(s.plan.withdraw, w)
	s.forget(e.Name)
	t.removed = append(t.removed, e)
}

// replaces reports whether t brought another version of e's package.
func (t *transaction) replaces(e *view.Entry) bool {
	for _, a := range t.added {
		if view.LineOf(a.Pkg) == view.LineOf(e.Package) && a.Pkg.EVR != e.Package.EVR {
			return true
		}
	}
	return false
}
