// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/deployed"
	"github.com/digestd/digestd/daemon/ledger/leftout"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Reconciled is the result of a comparison.
type Reconciled struct {
	api.SyncResult
	Fresh []string // lists whose files may bear another label still
	moved []string // lists that have another name now
	out   leftout.Packages

	initial   bool            // nothing was known before
	deployed  []record.Digest // headers of packages of another deployment than before
	OwnFailed int             // own lists that could not be made anew
}

// fail notes that nothing could be done for a package; others go on.
func (r *Reconciled) fail(p *state.InstalledPackage, err error) {
	r.Failed++
	r.out.Fail(p, err)
}

// Apply makes lists and index agree with the installed packages. The result is complete
// after the plan was carried out; see settled.
func (s *Ledger) Apply(found []state.InstalledPackage, r *Reconciled) {
	r.Installed = len(found)
	s.TellOfKeys(len(found))
	slices.SortFunc(found, func(a, b state.InstalledPackage) int {
		return cmp.Or(cmp.Compare(a.Pkg.Name, b.Pkg.Name), cmp.Compare(a.Pkg.Arch, b.Pkg.Arch), nevra.Compare(a.Pkg.EVR, b.Pkg.EVR))
	})
	s.moveLists(found, r)
	s.withdrawOthers(s.claims(found, r), r)
	initial := len(s.Lines) == 0
	for i := range found {
		if found[i].Fresh != nil {
			s.applyFresh(&found[i], initial, r)
		}
	}
	r.initial = initial
}

// Settled ends what apply began, once nothing lies in the directory that does not belong
// there: everything is durable with one commit. failed is why that is not known.
func (s *Ledger) Settled(found []state.InstalledPackage, r *Reconciled, failed error) {
	r.out.Tell(s.State)
	s.noteMoved(found)
	deployed.Compared(s.State, r.deployed)
	if r.initial && r.Published > 0 {
		s.Event(record.Event{Kind: audit.KindFirstSync, Text: fmt.Sprintf("%d lists published", r.Published)})
	}
	names := slices.Concat(r.Fresh, r.moved)
	if s.Unsettled {
		// Another process may have published any of them, and not synced it.
		names = s.activeNames()
	}
	s.Unsettled = failed != nil
	s.Plan.Poke = r.Published+len(r.moved) > 0
	s.Sync(names...)
	s.Record()
}

// activeNames are the names of all lists that are in the directory.
func (s *Ledger) activeNames() (names []string) {
	for _, e := range s.Sorted() {
		if e.Active() {
			names = append(names, e.Name)
		}
	}
	return names
}

// noteMoved records where rpm installed the files of packages that it relocated.
func (s *Ledger) noteMoved(found []state.InstalledPackage) {
	for _, p := range found {
		e := s.ByHeader[p.Header]
		if e == nil || p.Err != nil || slices.EqualFunc(e.Moved, p.Moved, header.Relocation.Equal) {
			continue
		}
		moved := *e
		moved.Moved = p.Moved
		s.Save(&moved)
	}
}

// claims says which list each installed header stands for. When one version is
// installed twice, from two builds, there is one name for both: the list that
// stands keeps it, or the first.
func (s *Ledger) claims(found []state.InstalledPackage, r *Reconciled) map[record.Digest]string {
	byHeader := make(map[record.Digest]string, len(found))
	taken := make(map[string]bool, len(found))
	for i := range found {
		p := &found[i]
		switch {
		case errors.Is(p.Err, header.ErrNoRegion):
			r.Withheld++
			r.out.Unsignable = append(r.out.Unsignable, p.String())
		case p.Err != nil:
			r.fail(p, p.Err)
			if deployed.Part(s.State, p.Header) {
				r.deployed = append(r.deployed, p.Header)
			}
		case p.Fresh == nil:
			r.Kept++
		}
		if p.Fresh != nil {
			continue
		}
		// A list that stood stays even if its header could not be looked at this
		// time: the failure is ours, not the package's.
		if e := s.ByHeader[p.Header]; e != nil && (p.Err == nil || e.Suspended() || e.Active() && !e.Broken && s.Trusted(e) && s.Allowed(e)) {
			byHeader[p.Header], taken[e.Name] = e.Name, true
		}
	}
	for i := range found {
		p := &found[i]
		if p.Fresh == nil {
			continue
		}
		if taken[p.Fresh.Name] {
			r.out.Twice = append(r.out.Twice, p.String())
			s.discard(p.Fresh.Staged)
			p.Fresh = nil
			r.Withheld++
			continue
		}
		byHeader[p.Header], taken[p.Fresh.Name] = p.Fresh.Name, true
	}
	return byHeader
}

// withdrawOthers takes away every list that no installed header stands for. One of
// another build of a version that is installed is replaced instead: that version
// was not removed, and what let it in still does.
func (s *Ledger) withdrawOthers(installed map[record.Digest]string, r *Reconciled) {
	replaced := make(map[string]bool, len(installed))
	versions := make(map[string]bool, len(installed))
	for header, name := range installed {
		versions[digestlist.WithoutSequence(name)] = true
		if e := s.ByName[name]; e != nil && e.Header != header {
			replaced[name] = true
		}
	}
	for _, e := range s.Sorted() {
		if installed[e.Header] == e.Name || replaced[e.Name] || e.Own != "" || e.Change == record.Moving {
			continue
		}
		// Nothing writes a kept list anew: one that may not be on the disk cannot stay. One of
		// another build of an installed version goes whatever the numbers of both are.
		if e.Grace != "" && e.Grace == s.Boot && e.Change != record.Publishing && !versions[digestlist.WithoutSequence(e.Name)] {
			continue
		}
		w := state.Withdrawal{Name: e.Name}
		s.Forget(e.Name)
		if s.Retire(e, "removed", wire.Peer{}) {
			r.Withdrawn++
			w.Entry = e
		}
		s.Plan.Withdraw = append(s.Plan.Withdraw, w)
	}
}

// applyFresh publishes or withholds the list of an installed package.
func (s *Ledger) applyFresh(found *state.InstalledPackage, initial bool, r *Reconciled) {
	c := found.Fresh
	d := s.UnlessHeld(c, c.Vouch)
	if d.Verdict == policy.Allow {
		d = s.AdmitCandidate(nil, c)
	}
	if deployed.Part(s.State, c.Header) {
		d = deployed.Judge(s.State, c, d)
		r.deployed = append(r.deployed, c.Header)
	}
	if d = s.UnlessBanned(c.Pkg, d, c.Body, c.Whole); d.Verdict == policy.Veto {
		d.Verdict = policy.WithholdList // it is installed already
	}
	previous := s.ByName[c.Name]
	a := &state.Addition{Candidate: c, Decision: d, Previous: previous}
	if d.Verdict == policy.Allow {
		x := state.Publication{Name: c.Name, Staged: c.Staged, Largest: c.Largest, Then: state.Do(func(p state.Published) error {
			if p.Err != nil {
				r.fail(found, p.Err)
				return nil
			}
			r.Published++
			r.Fresh = append(r.Fresh, a.Name)
			e := s.entryOf(a, p.Stamp)
			s.Put(e)
			s.Settle(e, a, wire.Peer{}, initial)
			return nil
		})}
		if previous != nil && previous.Active() {
			x.Previous, x.Read = previous, previous.Body != c.Body
		}
		s.Plan.Publish = append(s.Plan.Publish, x)
		found.Fresh = nil // the addition has it, and goes when its list has appeared
		return
	}
	if d.Reason != policy.ReasonNoFiles {
		r.Withheld++
	}
	if previous != nil && previous.Header == c.Header && !previous.Active() && previous.Reason == string(d.Reason) {
		s.withheldStill(previous, c, d)
		return
	}
	w := state.Withdrawal{Name: c.Name}
	if previous != nil && previous.Active() {
		r.Withdrawn++
		w.Entry = previous
	}
	e := s.entryOf(a, record.Stamp{})
	if w.Entry == nil && !initial {
		w.Entry = e // a transaction that was cut short may have written its name to files
	}
	s.Plan.Withdraw = append(s.Plan.Withdraw, w)
	s.Put(e)
	s.Settle(e, a, wire.Peer{}, initial)
}

// withheldStill takes over what is new of a list that is withheld for the same reason as
// before.
func (s *Ledger) withheldStill(e *view.Entry, c *view.Candidate, d policy.Decision) {
	known := *e
	known.Refs = c.Refs
	changed := !known.From.Equal(c.From)
	known.From = c.From
	if d.Denial != "" && known.Text != d.Text {
		known.Text, known.Denied = d.Text, []string{d.Denial}
		changed = true
	}
	if changed {
		s.Save(&known)
	} else {
		s.Put(&known)
	}
}

// Standing lists the headers whose lists need no work: published by us as the
// configuration wants them now, vouched for by a key that is still trusted.
func (s *Ledger) Standing(signers ...string) map[record.Digest]*view.Entry {
	m := make(map[record.Digest]*view.Entry, len(s.ByHeader))
	for digest, e := range s.ByHeader {
		if e.Active() && !e.Broken && e.Grace == "" && e.Change == "" && slices.Contains(signers, e.Signer) && s.Trusted(e) && s.Allowed(e) && s.Complete(e) {
			m[digest] = e
		}
	}
	return m
}

// Complete reports whether a list omits only contents that are still denied.
func (s *Ledger) Complete(e *view.Entry) bool {
	return !slices.ContainsFunc(e.Denied, func(id string) bool { return s.Denials.ByID(id) == nil })
}
