// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store"
)

// ownWork is an own list whose file is to be made anew.
type ownWork struct {
	entry  *entry
	record store.Own
	name   string // that it is to have
	made   madeList
	err    error

	published bool
}

// loadOwn takes over the records of own lists, and removes what a crash left beside
// them.
func (s *state) loadOwn(records []store.Own, rebuild bool) error {
	s.own = make(map[string]store.Own, len(records))
	for _, o := range records {
		s.own[o.Name] = o
	}
	dir := filepath.Join(s.stateDir, ownDir)
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		name, version, imported := splitBody(f.Name())
		o, known := s.own[name]
		switch {
		case known && o.Removed.IsZero() && ownBody(s.stateDir, o) == filepath.Join(dir, f.Name()):
		case rebuild && !imported && version > o.Last:
			if err := s.adoptOwn(name, version); err != nil {
				s.log.Error("own list not restored", "name", name, "error", err)
			}
		case rebuild:
		default:
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// splitBody reads the name that ownBody gives.
func splitBody(file string) (name string, version uint64, imported bool) {
	file, imported = strings.CutSuffix(file, ".imported")
	if i := strings.LastIndexByte(file, '.'); i > 0 {
		if n, err := strconv.ParseUint(file[i+1:], 10, 63); err == nil {
			return file[:i], n, imported
		}
	}
	return "", 0, imported
}

// adoptOwn takes an own list over that a lost index knew: what is kept in the state
// directory is as good as the index itself. What others signed is not taken over,
// for nothing says any more who they are.
func (s *state) adoptOwn(name string, version uint64) error {
	list, err := digestlist.OwnName(name)
	if err != nil {
		return err
	}
	o := store.Own{Name: name, List: list, Version: version, Last: version, Listed: true, Created: s.now(),
		Changed: store.Act{When: s.now(), Reason: "restored after the index was lost"}}
	body, err := os.ReadFile(ownBody(s.stateDir, o))
	if err != nil {
		return err
	}
	o.Body = sha256.Sum256(body)
	l := store.List{Name: list, Own: name, Version: version, Package: ownPackage(name, version), State: store.Active, Body: o.Body,
		Since: s.now(), Change: store.Publishing}
	if l.Files, err = countFiles(digestlist.FormatTLV, body); err != nil {
		return err
	}
	s.put(&entry{List: l, broken: true})
	s.batch.PutList(l)
	s.setOwn(o)
	id := lineOf(l.Package)
	s.saveLine(id, s.policyLine(id).Activate(l.Package.EVR, s.nextCounter()))
	s.log.Warn("own list restored", "name", name, "version", version)
	return nil
}

// finishOwn completes removals that were cut short.
func (s *state) finishOwn() {
	for _, e := range s.sorted() {
		if e.Own != "" && e.Change == store.Removing {
			s.takeAway(e.Name)
			s.completeRemoval(e, api.Actor{})
		}
	}
}

// ownToMake lists the own lists whose file must be made, and withdraws those that
// may not be active any more.
func (s *state) ownToMake(m *maker) (work []*ownWork, gone []withdrawn, err error) {
	for _, e := range s.sorted() {
		if e.Own == "" || e.Change == store.Moving || e.Change == store.Removing {
			continue
		}
		o := s.own[e.Own]
		why := s.ownRefused(o, e)
		switch {
		case why.Verdict != policy.Allow && !e.active():
			continue
		case why.Verdict != policy.Allow:
			w, err := s.withholdOwn(e, why)
			if err != nil {
				return nil, gone, err
			}
			gone = append(gone, w)
			continue
		}
		name := s.order.name(digestlist.WithoutSequence(e.Name), e.Package, false)
		if !e.active() || e.broken || e.Change != "" || e.Signer != m.ownSigner() || name != e.Name || !s.complete(e) {
			work = append(work, &ownWork{entry: e, record: o, name: name})
		}
	}
	return work, gone, nil
}

// importRefused says why a list that was verified a moment ago must not be imported: its
// key was revoked or removed meanwhile. "" means that it may be.
func (s *state) importRefused(o store.Own) string {
	c := s.keyring.Primary(o.Key)
	if o.Key != "" && (s.keys[o.Key].Revoked != nil || o.KeyKind == keyPGP && (c == nil || c.Revoked != nil)) {
		return "the key that signed it, " + o.Key + ", is not trusted any more"
	}
	return ""
}

// ownRefused says why an own list may not be active, if it may not.
func (s *state) ownRefused(o store.Own, e *entry) policy.Decision {
	switch o.KeyKind {
	case keyPGP:
		if c := s.keyring.Primary(o.Key); c == nil || c.Revoked != nil || c.Weak != "" {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the key that signed it, " + o.Key + ", is not trusted any more"}
		}
	case keyX509:
		if s.keys[o.Key].Revoked != nil || !s.importers[o.Key] {
			return policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonKeyRevoked, Text: "the certificate that signed it, " + o.Key + ", is not trusted any more"}
		}
	}
	if d := s.originRefused(o); d.Verdict != policy.Allow {
		return d
	}
	return s.unlessBanned(e.Package, s.admit(e.Package, false), e.Body, o.Body)
}

// withholdOwn takes an own list out of the directory, and then records it: a start
// after a crash in between finds no file, and judges the list again.
func (s *state) withholdOwn(e *entry, why policy.Decision) (w withdrawn, err error) {
	w = withdrawn{entry: e}
	l := *e
	l.State, l.Reason, l.Text = store.Withheld, string(why.Reason), why.Text
	l.File, l.Signer, l.Since, l.Change = store.Digest{}, "", s.now(), ""
	w.data = s.takeAwayAll([]string{e.Name}, func() {})[0]
	s.put(&l)
	s.batch.PutList(l.List)
	s.event(store.Event{Kind: audit.KindWithdrawn, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter, Reason: string(why.Reason), Text: why.Text})
	s.after(func(o observer) { o.ListWithdrawn(e.Name, e.Package.Full(), string(why.Reason)) })
	return w, errors.Join(s.syncLists([]string{e.Name}), s.commit())
}

// remakeOwn signs and stages own lists again, from the bodies that are kept.
func (d *Daemon) remakeOwn(ctx context.Context, work []*ownWork) {
	if len(work) == 0 {
		return
	}
	stager := d.dir.Stager("own" + strconv.FormatUint(d.serial.Add(1), 36))
	for _, w := range work {
		if w.err = ctx.Err(); w.err != nil {
			continue
		}
		body, err := d.openOwnBody(w.record)
		if err == nil {
			w.made, err = d.makeOwn(stager, body)
			body.unmap()
		}
		w.err = err
	}
}

// applyOwn publishes own lists that were made anew, before reconciliation looks for
// what does not belong into the directory. It returns how many could not be.
func (s *state) applyOwn(work []*ownWork) (failed int) {
	s.solved("own")
	for _, w := range work {
		e := w.entry
		if s.byName[e.Name] != e || s.own[e.Own].Body != w.record.Body {
			continue // changed meanwhile
		}
		if errors.Is(w.err, digestlist.ErrEmpty) && !e.active() || w.err == nil && w.made.basis != s.basis {
			continue // all of it is denied; or something is since it was made, which makes it anew
		}
		err := w.err
		if err == nil {
			if err = s.republishOwn(w); err == nil {
				continue
			}
		}
		failed++
		s.problem("own", api.SeverityError, fmt.Sprintf("%s could not be made anew, the last: own list %s: %v", plural(failed, "own list"), e.Own, err),
			"make it again: digestctl own update "+e.Own)
	}
	return failed
}

func (s *state) republishOwn(w *ownWork) error {
	s.noteOmitted(w.made.omitted)
	e := *w.entry
	e.Name, e.State, e.Reason, e.Text = w.name, store.Active, "", ""
	if w.entry.active() {
		e.Reason, e.Text = w.entry.Reason, w.entry.Text
	}
	e.Wide = w.made.wide
	e.Body, e.File, e.Files, e.Signer, e.refs = w.made.body, w.made.file, w.made.files, w.made.signer, w.made.refs
	e.Denied, e.Left = w.made.omitted.ids, len(w.made.omitted.paths)
	e.Change = store.Publishing
	if e.Name != w.entry.Name {
		s.moveAway(w.entry, e.Name)
		o := s.own[e.Own]
		o.List = e.Name
		s.setOwn(o)
	}
	s.put(&e)
	s.batch.PutList(e.List)
	if err := s.commit(); err != nil {
		return err
	}
	if err := s.dir.Publish(w.made.staged, e.Name, true); err != nil {
		return err
	}
	w.made.staged, w.published = store.Staged{}, true
	if !w.entry.active() {
		s.event(store.Event{Kind: audit.KindPublished, Package: e.Package.Full(), List: e.Name, Key: e.Key, Counter: e.Counter})
	}
	s.after(func(o observer) { o.ListPublished(e.Name, e.Package.Full()) })
	s.completeOwn(&e)
	return nil
}
