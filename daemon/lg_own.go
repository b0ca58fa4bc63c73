// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/x509"
	"fmt"
	"maps"
	"path"
	"strconv"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// ownPackage names a version of an own list as if it were a package.
func ownPackage(name string, version uint64) nevra.NEVRA {
	return nevra.NEVRA{Name: view.OwnPrefix + name, EVR: nevra.EVR{Version: strconv.FormatUint(version, 10), Release: "1"}, Arch: "noarch"}
}

// ownCandidate is an own list that may become active: read, signed and staged.
type ownCandidate struct {
	record   record.Own
	request  api.OwnRequest
	made     madeList
	importer *x509.Certificate // that signed it elsewhere, if one did
	keep     string            // the file that its body is in, which becomes the body of its version
}

// madeList is a body that was signed and staged.
type madeList struct {
	body   record.Digest // as it is published
	file   record.Digest
	wide   string // as of a candidate
	files  int
	refs   *view.Refs
	signer string
	staged record.Staged

	basis   uint64        // what it was made by: see state.basis
	omitted view.Omission // what is denied of it
}

// ownBody is the path of the file that keeps a version of an own list as it was
// made. What others signed is told apart: a lost index must not forget who.
func ownBody(stateDir string, o record.Own) string {
	name := o.Name + "." + strconv.FormatUint(o.Version, 10)
	if o.Key != "" {
		name += ".imported"
	}
	return path.Join(stateDir, ownDir, name)
}

// setOwn records an own list and queues it for the next commit.
func (s *state) setOwn(o record.Own) {
	own := maps.Clone(s.own) // snapshots share it
	if own == nil {
		own = map[string]record.Own{}
	}
	own[o.Name] = o
	s.own = own
	s.queue.batch.PutOwn(o)
}

// judgeOwn says which version a body would be, and whether it may. A body that was
// superseded is the version it was; what is new gets a number that is higher than
// all before.
func (s *state) judgeOwn(o record.Own, body record.Digest) (pkg nevra.NEVRA, version uint64, d policy.Decision) {
	next := ownPackage(o.Name, o.Last+1)
	r, back := s.retired[body]
	if !back {
		return next, o.Last + 1, s.admit(next, false)
	}
	d = s.admit(r.Package, false)
	switch {
	case r.Own == o.Name && (d.Verdict != policy.Allow || d.Grant || d.Reason.Rollback()):
		return r.Package, r.Version, d
	case d.Verdict != policy.Allow:
		return r.Package, 0, d
	}
	return next, o.Last + 1, s.admit(next, false)
}

// publishOwn makes c the active version of its list. What it is to be is durable
// before the directory changes, and marked until it has: a start in between
// completes it. A refusal that is to be recorded is in refused.
func (s *state) publishOwn(c *ownCandidate, by api.Actor) (r api.OwnResult, refused, err error) {
	o, previous := s.own[c.record.Name], s.ownEntry(c.record.Name)
	act, err := act(s, by, c.request.Reason)
	if err != nil {
		return r, nil, err
	}
	if why := c.request.Stale(o.Version, o.Removed.IsZero() && o.Version > 0); why != "" {
		return r, nil, &api.Error{Code: api.Busy, Message: fmt.Sprintf("the list %s %s", o.Name, why), Advice: "try again"}
	}
	o.Name = c.record.Name
	if c.made.basis != s.basis {
		return r, nil, errAgain
	}
	if refused := s.importRefused(c.record); refused != "" {
		return r, nil, &api.Error{Code: api.Failed, Message: refused, Advice: "see digestctl keys show " + c.record.Key}
	}
	for _, body := range []record.Digest{c.record.Body, c.made.body} {
		if entry := s.banned.List(body); entry != "" {
			return r, nil, &api.Error{Code: api.Failed, Message: view.SourceKernel + " names this list, " + entry, Advice: "see digestctl keys show " + entry}
		}
	}
	if d := s.judgeOrigin(c.record); d.Verdict != policy.Allow {
		return r, nil, &api.Error{Code: api.Failed, Message: "cannot import the list: " + d.Text}
	}
	pkg, version, decision := s.judgeOwn(o, c.record.Body)
	r = api.OwnResult{Name: c.record.Name, Version: version, Files: c.made.files, Left: len(c.made.omitted.Paths)}
	if decision.Verdict != policy.Allow {
		s.refused(&transaction{peer: wire.Peer{UID: by.UID, PID: by.PID}}, pkg, decision)
		return r, &api.Error{Code: api.Failed, Message: "a newer version took the place of this content: " + decision.Text, Advice: "see digestctl own show " + o.Name}, nil
	}
	if c.importer != nil {
		s.meetImporter(c.importer)
		s.importers = maps.Clone(s.importers)
		if s.importers == nil {
			s.importers = map[string]bool{}
		}
		s.importers[c.record.Key] = true
	}
	s.noteOmitted(c.made.omitted)
	c.record.Last, c.record.Version, c.record.Created = max(o.Last, version), version, o.Created
	if o.Created.IsZero() {
		c.record.Created = act.When
	}
	c.record.Changed = act
	e := s.ownEntryOf(c, previous, decision)
	c.record.List, r.List = e.Name, e.Name
	if previous != nil {
		r.Replaced = previous.Version
		s.rememberOwn(previous, o, "replaced")
	}
	s.put(e)
	s.settle(e, &addition{decision: decision, previous: nil}, wire.Peer{UID: by.UID, PID: by.PID}, false)
	for _, body := range []record.Digest{c.record.Body, e.Body} {
		s.unretire(body)
	}
	s.setOwn(c.record)
	s.plan.body = &bodyMove{c.keep, ownBody(s.stateDir, c.record)}
	staged := c.made.staged
	c.made.staged = record.Staged{}
	s.appearOwn(s.byName[e.Name], staged, func(err error) error {
		pkg, list, key := e.Package.Full(), e.Name, e.Key
		s.revert()
		s.event(record.Event{Kind: audit.KindWithdrawn, Package: pkg, List: list, Key: key, Reason: "not published", Text: err.Error(), UID: by.UID, PID: by.PID})
		return err
	})
	return r, nil, nil
}

// appearOwn has the file of e appear, whose record says that it does and is durable
// first: a start in between makes it anew. failed hears that it could not be.
func (s *state) appearOwn(e *view.Entry, staged record.Staged, failed func(error) error) {
	s.intend()
	s.sync(e.Name)
	s.plan.publish = append(s.plan.publish, publication{name: e.Name, staged: staged, recorded: true, poke: true, then: func(p published) error {
		if p.err != nil {
			return failed(p.err)
		}
		done := *s.byName[e.Name]
		done.Stamp, done.Change, done.Broken = p.stamp, "", false
		s.save(&done)
		s.record()
		return nil
	}})
}

func (s *state) ownEntryOf(c *ownCandidate, previous *view.Entry, decision policy.Decision) *view.Entry {
	name := ""
	if previous != nil {
		name = previous.Name
	} else {
		name, _ = digestlist.OwnName(c.record.Name)
		name = s.order.NameOf(name, ownPackage(c.record.Name, 0), false)
	}
	e := &view.Entry{Refs: c.made.refs, List: record.List{
		Name: name, State: record.Active, Own: c.record.Name, Version: c.record.Version, Package: ownPackage(c.record.Name, c.record.Version),
		Body: c.made.body, Wide: c.made.wide, File: c.made.file, Files: c.made.files, Signer: c.made.signer, Key: c.record.Key, Since: s.now(),
		Denied: c.made.omitted.IDs, Left: len(c.made.omitted.Paths), Granted: decision.Grant, Reason: string(decision.Reason), Text: decision.Text, Change: record.Publishing,
	}}
	return e
}

// rememberOwn keeps the bodies of an own list from coming back: as it was made and
// as it was published.
func (s *state) rememberOwn(e *view.Entry, o record.Own, reason string) {
	for _, body := range []record.Digest{o.Body, e.Body} {
		r := record.Retirement{Body: body, List: e.Name, Own: o.Name, Version: e.Version, Package: e.Package, When: s.now(), Reason: reason}
		if body == e.Body {
			r.Wide = e.Wide
		}
		s.setRetired(r)
	}
}

// ownEntry returns the entry of an own list, nil if it has none.
func (s *state) ownEntry(name string) *view.Entry {
	if e := s.byName[s.own[name].List]; e != nil && e.Own == name {
		return e
	}
	return nil
}

// removeOwn takes an own list away; its numbers stay.
func (s *state) removeOwn(name string, by api.Actor, reason string) (gone *view.Entry, err error) {
	o, e := s.own[name], s.ownEntry(name)
	if e == nil || !o.Removed.IsZero() {
		return nil, errNoOwn(name)
	}
	act, err := act(s, by, reason)
	if err != nil {
		return nil, err
	}
	o.Removed, o.Changed = act.When, act
	s.setOwn(o)
	leaving := *e
	leaving.Change = record.Removing
	s.save(&leaving)
	s.finishRemoval(&leaving, by, func(err error) error {
		s.revert()
		return err
	})
	return e, nil
}

// finishRemoval takes the file of an own list out of the directory, whose record says
// that it goes and is durable first, and forgets the list. resists hears that it could
// not be removed; if it is nil that is left for later.
func (s *state) finishRemoval(e *view.Entry, by api.Actor, resists func(error) error) {
	s.intend()
	s.plan.withdraw = append(s.plan.withdraw, withdrawal{name: e.Name, resists: resists})
	s.sync(e.Name)
	s.forget(e.Name)
	s.retire(e, "removed", wire.Peer{UID: by.UID, PID: by.PID})
	s.rememberOwn(e, s.own[e.Own], "removed")
	s.record()
}

func errNoOwn(name string) error {
	return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("there is no own list %q", name), Advice: "see digestctl own list"}
}
