// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Asked returns the decision of package policy about every element. A refusal changes
// nothing. Asked does not record the decisions about a test run, because that installs
// nothing.
func (s *Ledger) Asked(t *state.Transaction) []policy.ElementDecision {
	s.ExpireDenials()
	decisions := policy.AdmitTransaction(s.Mode, t.Elements, func(pkg nevra.NEVRA) policy.Line { return s.LineFor(pkg, t) })
	for _, d := range decisions {
		if d.Verdict == policy.Veto && (!t.Test || t.Check) {
			s.Refused(t, d.NEVRA, d.Decision)
		}
	}
	return decisions
}

// Assure reports whether digestd can assure the transaction, so that the package manager
// need not wait for each answer.
func (s *Ledger) Assure(t *state.Transaction) bool {
	t.Assured = policy.Assured(s.Mode, t.Elements, s.Keyring.Revokes(), func(pkg nevra.NEVRA) policy.Line { return s.LineFor(pkg, t) })
	return t.Assured
}

// Opened registers the transaction, and queues a mark for the next commit: once
// that is durable, lists may appear that the index does not know, and a start
// after a crash must not take them for an intruder's.
func (s *Ledger) Opened(t *state.Transaction) {
	s.Open[t] = true
	s.Generation++
	s.SetMark()
}

// Consider decides about a header before any work is done for it: it returns the list that
// is active for the same header, or a decision.
func (s *Ledger) Consider(t *state.Transaction, element uint32, c *view.Candidate, restore bool) (*view.Entry, policy.Decision) {
	digest := c.Header
	// A list that was only kept is published anew, so that its version is active again and a
	// grant of it is used up.
	if e := s.ByHeader[digest]; e != nil && e.Active() && !e.Broken && (restore || e.Grace == "") && s.Trusted(e) {
		if !restore && t.Added[digest] == nil {
			a := &state.Addition{Candidate: &view.Candidate{Pkg: e.Package, Header: digest, Name: e.Name}, Reused: true}
			t.Added[digest] = a
		}
		if a := t.Added[digest]; a != nil {
			t.ByIndex[element] = a
		}
		return e, policy.Decision{Verdict: policy.Allow}
	}
	return nil, s.AdmitCandidate(t, c)
}

// Add publishes the list of a verified package, or withholds it. The package is not installed
// yet: what is recorded becomes durable at the end, and only if the package manager says that
// it was. The addition has the result after the plan was carried out.
func (s *Ledger) Add(t *state.Transaction, element uint32, c *view.Candidate) (*state.Addition, error) {
	if c.Basis != s.Basis {
		return nil, ErrAgain
	}
	comes := &arrival{s, t, element, state.Addition{Candidate: c, Decision: s.UnlessHeld(c, c.Vouch), Previous: s.ByName[c.Name]}}
	a := &comes.Addition
	if earlier := t.Added[c.Header]; earlier != nil {
		a.Previous, a.Replaced = earlier.Previous, earlier.Replaced
	}
	if a.Decision.Verdict == policy.Allow {
		a.Decision = s.UnlessBanned(c.Pkg, s.AdmitCandidate(t, c), c.Body, c.Whole)
	}
	if t.Assured {
		a.Decision = a.Decision.Keep()
	}
	switch a.Decision.Verdict {
	case policy.Allow:
		x := state.Publication{Name: c.Name, Staged: c.Staged, Largest: c.Largest, Keep: true, Then: comes}
		if p := a.Previous; p != nil && p.Active() {
			x.Previous = p
		}
		s.Plan.Publish = append(s.Plan.Publish, x)
		return a, nil
	case policy.Veto:
		s.discard(c.Staged)
		s.Refused(t, c.Pkg, a.Decision)
		return a, nil
	}
	s.discard(c.Staged)
	s.added(t, element, a, record.Stamp{})
	if p := a.Previous; p != nil && p.Active() {
		// The same version, built anew, and not to be trusted: the old build's
		// list must not vouch under its name while its files are replaced.
		s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: a.Name, Entry: p, Kept: func(old record.Staged) { s.keep(a, old) }})
	}
	return a, nil
}

// arrival is an addition that waits for its list to appear.
type arrival struct {
	s       *Ledger
	t       *state.Transaction
	element uint32
	state.Addition
}

// Appeared records the addition, unless its list could not be published.
func (x *arrival) Appeared(p state.Published) error {
	if p.Err == nil {
		x.s.keep(&x.Addition, p.Old)
		x.t.Touched = append(x.t.Touched, x.Name)
		x.s.added(x.t, x.element, &x.Addition, p.Stamp)
	}
	return p.Err
}

// added enters an addition, which has its list or will have none.
func (s *Ledger) added(t *state.Transaction, element uint32, a *state.Addition, stamp record.Stamp) {
	t.Added[a.Header] = a
	t.ByIndex[element] = a
	s.Put(s.entryOf(a, stamp))
}

// discard removes a staged list that is not wanted any more.
func (s *Ledger) discard(list record.Staged) {
	if list != (record.Staged{}) {
		s.Plan.Discard = append(s.Plan.Discard, list)
	}
}

// keep holds on to the list that a's took the place of. If the transaction publishes
// under that name once more, it is the first that could come back.
func (s *Ledger) keep(a *state.Addition, old record.Staged) {
	if p := a.Previous; p != nil && p.Active() && !p.Broken && a.Replaced == (record.Staged{}) {
		a.Replaced = old
		return
	}
	s.discard(old)
}

// entryOf makes the entry of an addition as it now stands. stamp is of its file, if it
// has one.
func (s *Ledger) entryOf(a *state.Addition, stamp record.Stamp) *view.Entry {
	s.NoteOmitted(a.Omitted)
	e := &view.Entry{Refs: a.Refs, List: record.List{
		Name: a.Name, Package: a.Pkg, Header: a.Header, Body: a.Body, Wide: a.Wide, File: a.File,
		Files: a.Files, Largest: a.Largest, Since: s.Now(), Reason: string(a.Decision.Reason), Text: a.Decision.Text,
		Granted: a.Decision.Grant, State: record.Active, Signer: a.Signer,
		Denied: a.Omitted.IDs, Left: len(a.Omitted.Paths), Module: a.Module,
	}}
	s.Justify(e, a.Candidate)
	if a.Decision.Verdict != policy.Allow {
		e.State, e.File, e.Signer = record.Withheld, record.Digest{}, ""
		e.Denied, e.Left = nil, 0
		if p := a.Previous; p != nil && p.Package == a.Pkg && p.Grace == "" {
			// That this version was active is not forgotten while it has no list. One
			// that was replaced, and whose list only stays until the next boot, was retired.
			e.Counter, e.Granted, e.Void = p.Counter, p.Granted, p.Void
		}
		if a.Decision.Denial != "" {
			e.Denied = []string{a.Decision.Denial}
		}
		if a.Decision.Reason == policy.ReasonNoFiles {
			e.State = record.Empty
		}
		return e
	}
	if p := a.Previous; p != nil && a.Decision.Reason == policy.ReasonActive {
		// Published anew, it is there for the same reason as before.
		switch {
		case p.Active():
			e.Granted, e.Reason, e.Text = p.Granted, p.Reason, p.Text
		case p.Suspended(), p.Retracted():
			e.Granted, e.Reason = p.Granted, ""
		}
	}
	e.Stamp = stamp
	return e
}

// Failed reverts what Add published for an element that could not be installed.
func (s *Ledger) Failed(t *state.Transaction, element uint32) {
	if a := t.ByIndex[element]; a != nil && !a.Installed && !a.Reused {
		s.takeBack(t, a)
	}
}

func (s *Ledger) takeBack(t *state.Transaction, a *state.Addition) {
	delete(t.Added, a.Header)
	for i, b := range t.ByIndex {
		if a == b {
			delete(t.ByIndex, i)
		}
	}
	e := s.ByName[a.Name]
	if e == nil || e.Header != a.Header {
		s.discard(a.Replaced)
		return
	}
	leaving := e
	if !e.Active() {
		leaving = nil // it has no list
	}
	s.Forget(a.Name)
	if a.Previous == nil {
		s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: a.Name, Entry: leaving})
		return
	}
	s.Put(a.Previous)
	if !s.comesBack(a) {
		s.discard(a.Replaced)
		s.lost(a, leaving)
		return
	}
	replaced := a.Replaced
	a.Replaced = record.Staged{}
	s.Plan.Publish = append(s.Plan.Publish, state.Publication{Name: a.Name, Staged: replaced, Largest: a.Previous.Largest, Poke: true, Previous: leaving, Read: true, Then: state.Do(func(p state.Published) error {
		if p.Err != nil {
			s.Unsettled = true // something may be left in the directory
			s.lost(a, leaving)
			return p.Err
		}
		back := *a.Previous
		back.Stamp = p.Stamp
		s.Put(&back)
		if t.Touched = append(t.Touched, a.Name); !s.Open[t] {
			s.Sync(a.Name) // its end has begun already
		}
		return nil
	})})
}

// comesBack reports whether the list that a replaced may be published as it was: what
// vouched for it may have been withdrawn meanwhile.
func (s *Ledger) comesBack(a *state.Addition) bool {
	p := a.Previous
	return a.Replaced != (record.Staged{}) && s.Trusted(p) && s.Allowed(p) && s.Complete(p) && !p.Refs.HitBy(s.Denials.Heads())
}

// lost takes the list of a away where the one before it cannot come back;
// reconciliation makes that anew from rpm's database.
func (s *Ledger) lost(a *state.Addition, leaving *view.Entry) {
	s.mark(a.Previous)
	s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: a.Name, Entry: leaving})
}

// Remove withdraws the list of a package that was erased. It returns the list
// that must be withdrawn, after the caller has rebound the files it shares.
func (s *Ledger) Remove(t *state.Transaction, element uint32, digest record.Digest) *view.Entry {
	e := s.ByHeader[digest]
	if e == nil {
		e = s.supplanted(t, element)
	}
	if e == nil {
		return nil
	}
	if t.Added[digest] != nil {
		return nil // the same package was installed again
	}
	return e
}

// supplanted returns the entry of the version that an element erases, if the list of that
// was replaced by one of another build, in a transaction that was cut short: no header
// that is installed leads to it any more. It has no list that stands, or none at all.
func (s *Ledger) supplanted(t *state.Transaction, element uint32) *view.Entry {
	if !s.Unsettled || int(element) >= len(t.Elements) {
		return nil
	}
	pkg := t.Elements[element].NEVRA
	for _, e := range s.ByLine[view.LineOf(pkg)] {
		if e.Package == pkg && (e.Broken || !e.Active()) && t.Added[e.Header] == nil {
			return e
		}
	}
	return nil
}

// RemoveNow withdraws the list of e.
func (s *Ledger) RemoveNow(t *state.Transaction, e *view.Entry) {
	if s.ByName[e.Name] != e {
		return
	}
	if s.KeepOld && e.Active() && t.Replaces(e) {
		grace := *e
		grace.Grace = s.Boot
		grace.Text = "replaced; stays until the next boot for programs that still run from it"
		s.Put(&grace)
		// A list below a floor stands by a grant alone, which is used up now.
		if s.Admit(e.Package, false).Reason != policy.ReasonRollbackFloor {
			t.Kept = append(t.Kept, &grace)
			return
		}
	}
	w := state.Withdrawal{Name: e.Name}
	if e.Active() {
		w.Entry = e
	}
	s.Plan.Withdraw = append(s.Plan.Withdraw, w)
	s.Forget(e.Name)
	t.Removed = append(t.Removed, e)
}

// Foresee predicts the decisions of Consider and Add.
func (s *Ledger) Foresee(t *state.Transaction, c *view.Candidate) policy.Decision {
	if e := s.ByHeader[c.Header]; e != nil && e.Active() && e.Grace == "" && s.Trusted(e) {
		return policy.Decision{Verdict: policy.Allow}
	}
	if d := s.AdmitCandidate(t, c); d.Verdict == policy.Veto {
		return d
	}
	return s.UnlessHeld(c, c.Vouch)
}

// ClearMark queues that the mark goes, if everything is recorded that may be in the
// directory. It stays for what is under way, and for what still has to be looked into.
func (s *Ledger) ClearMark() {
	if len(s.Open) == 0 && !s.Unsettled && (s.MetaMark.Queued || s.MetaMark.Durable) {
		s.PutMark(&s.Queue, false)
	}
}

// Ways to sign lists, as the configuration has them. By a list that SignPKCS7 made it is
// known as ours.
const (
	SignPKCS7 = "pkcs7" // by this machine's key
	SignPGP   = "pgp"   // by the package's own signature
	SignNone  = "none"
)

// Show lets readers see the state when the plan is carried out.
func (s *Ledger) Show() { s.Plan.Show = true }

// Withdrawn is a list that left the directory because its key was revoked, with its content.
type Withdrawn struct {
	Entry *view.Entry
	Data  []byte
}
