// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// ownWork is an own list whose file is to be made anew.
type ownWork struct {
	entry  *view.Entry
	record record.Own
	name   string // that it is to have
	made   madeList
	err    error

	published bool
}

// loadOwn takes over the records of own lists, and removes what a crash left beside
// them.
func (s *state) loadOwn(records []record.Own, bodies []ownFile, rebuilt bool) error {
	s.own = make(map[string]record.Own, len(records))
	for _, o := range records {
		s.own[o.Name] = o
	}
	for _, f := range bodies {
		if o, known := s.own[f.name]; rebuilt && !f.imported && f.version > o.Last && (!known || ownBody(s.stateDir, o) != f.path) {
			if err := s.adoptOwn(f); err != nil {
				s.log.Error("own list not restored", "name", f.name, "error", err)
			}
		}
	}
	return nil
}

// ownFile is a file with the body of an own list in the state directory.
type ownFile struct {
	path, name string
	version    uint64
	imported   bool
	body       record.Digest // of one that a lost index may have known
	files      int
	err        error // why it cannot be read as a list
}

// adoptOwn takes an own list over that a lost index knew: what is kept in the state
// directory is as good as the index itself. What others signed is not taken over,
// for nothing says any more who they are.
func (s *state) adoptOwn(f ownFile) error {
	list, err := digestlist.OwnName(f.name)
	if err == nil {
		err = f.err
	}
	if err != nil {
		return err
	}
	o := record.Own{Name: f.name, List: list, Version: f.version, Last: f.version, Listed: true, Created: s.now(), Body: f.body,
		Changed: record.Act{When: s.now(), Reason: "restored after the index was lost"}}
	l := record.List{Name: list, Own: f.name, Version: f.version, Package: ownPackage(f.name, f.version), State: record.Active, Body: f.body,
		Files: f.files, Since: s.now(), Change: record.Publishing}
	s.save(&view.Entry{List: l, Broken: true})
	s.setOwn(o)
	id := view.LineOf(l.Package)
	s.saveLine(id, s.policyLine(id).Activate(l.Package.EVR, s.nextCounter()))
	s.log.Warn("own list restored", "name", f.name, "version", f.version)
	return nil
}

// finishOwn completes removals that were cut short.
func (s *state) finishOwn() {
	for _, e := range s.sorted() {
		if e.Own != "" && e.Change == record.Removing {
			s.finishRemoval(e, api.Actor{}, nil)
		}
	}
}

// ownToMake lists the own lists whose file must be made, and withdraws those that
// may not be active any more.
func (s *state) ownToMake(signer string) (work []*ownWork) {
	var out []suspension
	for _, e := range s.sorted() {
		if e.Own == "" || e.Change == record.Moving || e.Change == record.Removing {
			continue
		}
		o := s.own[e.Own]
		why := s.ownRefused(o, e)
		switch {
		case why.Verdict != policy.Allow && !e.Active():
			continue
		case why.Verdict != policy.Allow:
			out = append(out, suspension{e, why})
			continue
		}
		name := s.order.NameOf(digestlist.WithoutSequence(e.Name), e.Package, false)
		if !e.Active() || e.Broken || e.Change != "" || e.Signer != signer || name != e.Name || !s.complete(e) {
			work = append(work, &ownWork{entry: e, record: o, name: name})
		}
	}
	s.withholdOwn(out)
	return work
}

// importRefused says why a list that was verified a moment ago must not be imported: its
// key was revoked or removed meanwhile. "" means that it may be.
func (s *state) importRefused(o record.Own) string {
	c := s.keyring.Primary(o.Key)
	if o.Key != "" && (s.keys[o.Key].Revoked != nil || o.KeyKind == view.KeyPGP && (c == nil || c.Revoked != nil)) {
		return "the key that signed it, " + o.Key + ", is not trusted any more"
	}
	return ""
}

// ownRefused says why an own list may not be active, if it may not.
func (s *state) ownRefused(o record.Own, e *view.Entry) policy.Decision {
	switch o.KeyKind {
	case view.KeyPGP:
		if c := s.keyring.Primary(o.Key); c == nil || c.Revoked != nil || c.Weak != "" {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the key that signed it, " + o.Key + ", is not trusted any more"}
		}
	case view.KeyX509:
		if s.keys[o.Key].Revoked != nil || !s.importers[o.Key] {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the certificate that signed it, " + o.Key + ", is not trusted any more"}
		}
	}
	if d := s.originRefused(o); d.Verdict != policy.Allow {
		return d
	}
	return s.unlessBanned(e.Package, s.admit(e.Package, false), e.Body, o.Body)
}

// withholdOwn takes own lists out of the directory. They keep their numbers, and what
// they hold is not retired: the list may be said again.
func (s *state) withholdOwn(out []suspension) {
	for _, x := range out {
		e, why := x.entry, x.decision
		l := *e
		l.State, l.Reason, l.Text = record.Withheld, string(why.Reason), why.Text
		l.File, l.Signer, l.Since, l.Change = record.Digest{}, "", s.now(), ""
		s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: e.Name, entry: e})
		s.sync(e.Name)
		s.save(&l)
		s.event(record.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter, Reason: string(why.Reason), Text: why.Text})
		s.after(func(o observer) { o.ListWithdrawn(e.Name, e.Package.Full(), string(why.Reason)) })
		s.record()
	}
}

// applyOwn publishes own lists that were made anew, before reconciliation looks for
// what does not belong into the directory. How many could not be is in r when the plan
// has been carried out.
func (s *state) applyOwn(work []*ownWork, r *reconciled) {
	s.solved("own")
	failed := 0
	fail := func(w *ownWork, err error) {
		failed++
		r.ownFailed++
		s.problem("own", api.SeverityError, fmt.Sprintf("%s could not be made anew, the last: own list %s: %v", view.Plural(failed, "own list"), w.entry.Own, err),
			"make it again: digestctl own update "+w.entry.Own)
	}
	for _, w := range work {
		e := w.entry
		if s.byName[e.Name] != e || s.own[e.Own].Body != w.record.Body {
			continue // changed meanwhile
		}
		if errors.Is(w.err, digestlist.ErrEmpty) && !e.Active() || w.err == nil && w.made.basis != s.basis {
			continue // all of it is denied; or something is since it was made, which makes it anew
		}
		if w.err != nil {
			fail(w, w.err)
			continue
		}
		s.republishOwn(w, func(err error) error {
			fail(w, err)
			return nil
		})
	}
}

func (s *state) republishOwn(w *ownWork, failed func(error) error) {
	s.noteOmitted(w.made.omitted)
	e := *w.entry
	e.Name, e.State, e.Reason, e.Text = w.name, record.Active, "", ""
	if w.entry.Active() {
		e.Reason, e.Text = w.entry.Reason, w.entry.Text
	}
	e.Wide = w.made.wide
	e.Body, e.File, e.Files, e.Signer, e.Refs = w.made.body, w.made.file, w.made.files, w.made.signer, w.made.refs
	e.Denied, e.Left = w.made.omitted.IDs, len(w.made.omitted.Paths)
	e.Change = record.Publishing
	if e.Name != w.entry.Name {
		s.moveAway(w.entry, e.Name)
		o := s.own[e.Own]
		o.List = e.Name
		s.setOwn(o)
	}
	s.save(&e)
	staged := w.made.staged
	w.made.staged = record.Staged{}
	s.appearOwn(&e, staged, func(err error) error {
		broken := e
		broken.Broken = true
		s.put(&broken)
		return failed(err)
	})
	x := &s.plan.publish[len(s.plan.publish)-1]
	x.previous = &e
	then := x.then
	x.then = func(p published) error {
		if p.err == nil {
			if !w.entry.Active() {
				s.event(record.Event{Kind: audit.KindPublished, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter})
			}
			s.after(func(o observer) { o.ListPublished(e.Name, e.Package.Full()) })
		}
		return then(p)
	}
}
