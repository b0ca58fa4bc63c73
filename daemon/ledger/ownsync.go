// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// OwnWork is an own list whose file must be made again.
type OwnWork struct {
	entry  *view.Entry
	Record record.Own
	name   string // that it is to have
	Made   MadeList
	Err    error
}

// loadOwn takes over the records of own lists, and removes what a crash left beside
// them.
func (s *Ledger) loadOwn(records []record.Own, bodies []OwnFile, rebuilt bool) error {
	s.Own = make(map[string]record.Own, len(records))
	for _, o := range records {
		s.Own[o.Name] = o
	}
	for _, f := range bodies {
		if o, known := s.Own[f.Name]; rebuilt && !f.Imported && f.Version > o.Last && (!known || OwnBody(s.StateDir, o) != f.Path) {
			if err := s.adoptOwn(f); err != nil {
				s.Log.Error("own list not restored", "name", f.Name, "error", err)
			}
		}
	}
	return nil
}

// OwnFile is a file with the body of an own list in the state directory.
type OwnFile struct {
	Path, Name string
	Version    uint64
	Imported   bool
	Body       record.Digest // of one that a lost index may have known
	Files      int
	Err        error // why it cannot be read as a list
}

// adoptOwn takes an own list over that a lost index knew: what is kept in the state directory
// is as good as the index itself. It does not take over lists that others signed, because the
// index no longer says who they are.
func (s *Ledger) adoptOwn(f OwnFile) error {
	list, err := digestlist.OwnName(f.Name)
	if err == nil {
		err = f.Err
	}
	if err != nil {
		return err
	}
	o := record.Own{Name: f.Name, List: list, Version: f.Version, Last: f.Version, Listed: true, Created: s.Now(), Body: f.Body,
		Changed: record.Act{When: s.Now(), Reason: "restored after the index was lost"}}
	l := record.List{Name: list, Own: f.Name, Version: f.Version, Package: OwnPackage(f.Name, f.Version), State: record.Active, Body: f.Body,
		Files: f.Files, Since: s.Now(), Change: record.Publishing}
	s.Save(&view.Entry{List: l, Broken: true})
	s.SetOwn(o)
	id := view.LineOf(l.Package)
	s.SaveLine(id, s.PolicyLine(id).Activate(l.Package.EVR, s.NextCounter()))
	s.Log.Warn("own list restored", "name", f.Name, "version", f.Version)
	return nil
}

// FinishOwn completes interrupted removals.
func (s *Ledger) FinishOwn() {
	for _, e := range s.Sorted() {
		if e.Own != "" && e.Change == record.Removing {
			s.finishRemoval(e, api.Actor{}, nil)
		}
	}
}

// OwnToMake lists the own lists whose file must be made, and withdraws those that
// may not be active any more.
func (s *Ledger) OwnToMake(signer string) (work []*OwnWork) {
	var out []state.Suspension
	for _, e := range s.Sorted() {
		if e.Own == "" || e.Change == record.Moving || e.Change == record.Removing {
			continue
		}
		o := s.Own[e.Own]
		why := s.OwnRefused(o, e)
		switch {
		case why.Verdict != policy.Allow && !e.Active():
			continue
		case why.Verdict != policy.Allow:
			out = append(out, state.Suspension{Entry: e, Decision: why})
			continue
		}
		name := s.Order.NameOf(digestlist.WithoutSequence(e.Name), e.Package, false)
		if !e.Active() || e.Broken || e.Change != "" || e.Signer != signer || name != e.Name || !s.Complete(e) {
			work = append(work, &OwnWork{entry: e, Record: o, name: name})
		}
	}
	s.withholdOwn(out)
	return work
}

// importRefused says why a list that was verified a moment ago must not be imported: its
// key was revoked or removed meanwhile. "" means that it may be.
func (s *Ledger) importRefused(o record.Own) string {
	c := s.Keyring.Primary(o.Key)
	if o.Key != "" && (s.Keys[o.Key].Revoked != nil || o.KeyKind == view.KeyPGP && (c == nil || c.Revoked != nil)) {
		return "the key that signed it, " + o.Key + ", is not trusted any more"
	}
	return ""
}

// withholdOwn takes own lists out of the directory. They keep their numbers, and what
// they hold is not retired: the list may be said again.
func (s *Ledger) withholdOwn(out []state.Suspension) {
	for _, x := range out {
		e, why := x.Entry, x.Decision
		l := *e
		l.State, l.Reason, l.Text = record.Withheld, string(why.Reason), why.Text
		l.File, l.Signer, l.Since, l.Change = record.Digest{}, "", s.Now(), ""
		s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: e.Name, Entry: e})
		s.Sync(e.Name)
		s.Save(&l)
		s.Event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter, Reason: string(why.Reason), Text: why.Text})
		s.After(func(o state.Observer) { o.ListWithdrawn(e.Name, e.Package.Full(), string(why.Reason)) })
		s.Record()
	}
}

// ApplyOwn publishes own lists that were made again, before the comparison looks for files
// that do not belong into the directory. After the plan was carried out, r has the number of
// failures.
func (s *Ledger) ApplyOwn(work []*OwnWork, r *Reconciled) {
	s.Solved("own")
	failed := 0
	fail := func(w *OwnWork, err error) {
		failed++
		r.OwnFailed++
		s.Problem("own", api.SeverityError, fmt.Sprintf("%s could not be rebuilt, the last one: own list %s: %v", view.Plural(failed, "own list"), w.entry.Own, err),
			"rebuild it: digestctl own update "+w.entry.Own)
	}
	for _, w := range work {
		e := w.entry
		if s.ByName[e.Name] != e || s.Own[e.Own].Body != w.Record.Body {
			continue // changed meanwhile
		}
		if errors.Is(w.Err, digestlist.ErrEmpty) && !e.Active() || w.Err == nil && w.Made.Basis != s.Basis {
			continue // all of it is denied; or something is since it was made, which makes it anew
		}
		if w.Err != nil {
			fail(w, w.Err)
			continue
		}
		s.republishOwn(w, func(err error) error {
			fail(w, err)
			return nil
		})
	}
}

func (s *Ledger) republishOwn(w *OwnWork, failed func(error) error) {
	s.NoteOmitted(w.Made.Omitted)
	e := *w.entry
	e.Name, e.State, e.Reason, e.Text = w.name, record.Active, "", ""
	if w.entry.Active() {
		e.Reason, e.Text = w.entry.Reason, w.entry.Text
	}
	e.Wide = w.Made.Wide
	e.Body, e.File, e.Files, e.Signer, e.Refs = w.Made.Body, w.Made.File, w.Made.Files, w.Made.Signer, w.Made.Refs
	e.Denied, e.Left = w.Made.Omitted.IDs, len(w.Made.Omitted.Paths)
	e.Change = record.Publishing
	if e.Name != w.entry.Name {
		s.moveAway(w.entry, e.Name)
		o := s.Own[e.Own]
		o.List = e.Name
		s.SetOwn(o)
	}
	s.Save(&e)
	staged := w.Made.Staged
	w.Made.Staged = record.Staged{}
	s.appearOwn(&e, staged, failed) // what had its place is still there, and nobody else's
	x := &s.Plan.Publish[len(s.Plan.Publish)-1]
	x.Previous = &e
	then := x.Then
	x.Then = state.Do(func(p state.Published) error {
		if p.Err == nil {
			if !w.entry.Active() {
				s.Event(record.Event{Kind: audit.KindPublished, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter})
			}
			s.After(func(o state.Observer) { o.ListPublished(e.Name, e.Package.Full()) })
		}
		return then.Appeared(p)
	})
}
