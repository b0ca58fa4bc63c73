// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/x509"
	"fmt"
	"maps"
	"path"
	"strconv"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// OwnPackage returns the version of an own list in the form of a package.
func OwnPackage(name string, version uint64) nevra.NEVRA {
	return nevra.NEVRA{Name: view.OwnPrefix + name, EVR: nevra.EVR{Version: strconv.FormatUint(version, 10), Release: "1"}, Arch: "noarch"}
}

// OwnCandidate is an own list that may become active: read, signed and staged.
type OwnCandidate struct {
	Record   record.Own
	Request  api.OwnRequest
	Made     MadeList
	Importer *x509.Certificate // that signed it elsewhere, if one did
	Keep     string            // the file that its body is in, which becomes the body of its version
}

// MadeList is a body that was signed and staged.
type MadeList struct {
	Body   record.Digest // as it is published
	File   record.Digest
	Wide   string // as of a candidate
	Files  int
	Refs   *view.Refs
	Signer string
	Staged record.Staged

	Basis   uint64        // what it was made by: see [Ledger]
	Omitted view.Omission // what is denied of it
}

// OwnBody is the path of the file that keeps a version of an own list as it was made. The paths
// of lists that others signed differ: a lost index must not forget who.
func OwnBody(stateDir string, o record.Own) string {
	name := o.Name + "." + strconv.FormatUint(o.Version, 10)
	if o.Key != "" {
		name += ".imported"
	}
	return path.Join(stateDir, OwnDir, name)
}

// judgeOwn says which version a body would be, and whether it may. A body that was
// superseded is the version it was; what is new gets a number that is higher than
// all before.
func (s *Ledger) judgeOwn(o record.Own, body record.Digest) (pkg nevra.NEVRA, version uint64, d policy.Decision) {
	next := OwnPackage(o.Name, o.Last+1)
	r, back := s.Retired[body]
	if !back {
		return next, o.Last + 1, s.Admit(next, false)
	}
	d = s.Admit(r.Package, false)
	switch {
	case r.Own == o.Name && (d.Verdict != policy.Allow || d.Grant || d.Reason.Rollback()):
		return r.Package, r.Version, d
	case d.Verdict != policy.Allow:
		return r.Package, 0, d
	}
	return next, o.Last + 1, s.Admit(next, false)
}

// PublishOwn makes c the active version of its list. Its record is durable before the directory
// changes, and marked until then: a start in between completes it. A refusal that is to be
// recorded is in refused.
func (s *Ledger) PublishOwn(c *OwnCandidate, by api.Actor) (r api.OwnResult, refused, err error) {
	o, previous := s.Own[c.Record.Name], s.OwnEntry(c.Record.Name)
	act, err := Act(s, by, c.Request.Reason)
	if err != nil {
		return r, nil, err
	}
	if why := c.Request.Stale(o.Version, o.Removed.IsZero() && o.Version > 0); why != "" {
		return r, nil, &api.Error{Code: api.Busy, Message: fmt.Sprintf("the list %s %s", o.Name, why), Advice: "try again"}
	}
	o.Name = c.Record.Name
	if c.Made.Basis != s.Basis {
		return r, nil, ErrAgain
	}
	if refused := s.importRefused(c.Record); refused != "" {
		return r, nil, &api.Error{Code: api.Failed, Message: refused, Advice: "see digestctl keys show " + c.Record.Key}
	}
	for _, body := range []record.Digest{c.Record.Body, c.Made.Body} {
		if entry := s.Banned.List(body); entry != "" {
			return r, nil, &api.Error{Code: api.Failed, Message: view.SourceKernel + " contains this list, " + entry, Advice: "see digestctl keys show " + entry}
		}
	}
	if d := s.JudgeOrigin(c.Record); d.Verdict != policy.Allow {
		return r, nil, &api.Error{Code: api.Failed, Message: "cannot import the list: " + d.Text}
	}
	pkg, version, decision := s.judgeOwn(o, c.Record.Body)
	r = api.OwnResult{Name: c.Record.Name, Version: version, Files: c.Made.Files, Left: len(c.Made.Omitted.Paths)}
	if decision.Verdict != policy.Allow {
		s.Refused(&state.Transaction{Peer: wire.Peer{UID: by.UID, PID: by.PID}}, pkg, decision)
		return r, &api.Error{Code: api.Failed, Message: "a newer version replaced this content: " + decision.Text, Advice: "see digestctl own show " + o.Name}, nil
	}
	if c.Importer != nil {
		s.MeetImporter(c.Importer)
		s.Importers = maps.Clone(s.Importers)
		if s.Importers == nil {
			s.Importers = map[string]bool{}
		}
		s.Importers[c.Record.Key] = true
	}
	s.NoteOmitted(c.Made.Omitted)
	c.Record.Last, c.Record.Version, c.Record.Created = max(o.Last, version), version, o.Created
	if o.Created.IsZero() {
		c.Record.Created = act.When
	}
	c.Record.Changed = act
	e := s.ownEntryOf(c, previous, decision)
	c.Record.List, r.List = e.Name, e.Name
	if previous != nil {
		r.Replaced = previous.Version
		s.rememberOwn(previous, o, "replaced")
	}
	s.Put(e)
	s.Settle(e, &state.Addition{Candidate: new(view.Candidate), Decision: decision}, wire.Peer{UID: by.UID, PID: by.PID}, false)
	for _, body := range []record.Digest{c.Record.Body, e.Body} {
		s.Unretire(body)
	}
	s.SetOwn(c.Record)
	kept := OwnBody(s.StateDir, c.Record)
	s.Plan.Body = &state.BodyMove{From: c.Keep, To: kept}
	staged := c.Made.Staged
	c.Made.Staged = record.Staged{}
	s.appearOwn(s.ByName[e.Name], staged, func(err error) error {
		pkg, list, key := e.Package.Full(), e.Name, e.Key
		s.revert()
		s.Plan.Drop = kept
		s.Event(record.Event{Kind: audit.KindWithdrawn, Package: pkg, List: list, Key: key, Reason: "not published", Text: err.Error(), UID: by.UID, PID: by.PID})
		return err
	})
	return r, nil, nil
}

// appearOwn has the file of e appear, whose record says that it does and is durable
// first: a start in between makes it anew. failed hears that it could not be.
func (s *Ledger) appearOwn(e *view.Entry, staged record.Staged, failed func(error) error) {
	s.Intend()
	s.Sync(e.Name)
	s.Plan.Publish = append(s.Plan.Publish, state.Publication{Name: e.Name, Staged: staged, Recorded: true, Poke: true, Then: state.Do(func(p state.Published) error {
		if p.Err != nil {
			return failed(p.Err)
		}
		done := *s.ByName[e.Name]
		done.Stamp, done.Change, done.Broken = p.Stamp, "", false
		s.Save(&done)
		s.Record()
		return nil
	})})
}

func (s *Ledger) ownEntryOf(c *OwnCandidate, previous *view.Entry, decision policy.Decision) *view.Entry {
	name := ""
	if previous != nil {
		name = previous.Name
	} else {
		name, _ = digestlist.OwnName(c.Record.Name)
		name = s.Order.NameOf(name, OwnPackage(c.Record.Name, 0), false)
	}
	e := &view.Entry{Refs: c.Made.Refs, List: record.List{
		Name: name, State: record.Active, Own: c.Record.Name, Version: c.Record.Version, Package: OwnPackage(c.Record.Name, c.Record.Version),
		Body: c.Made.Body, Wide: c.Made.Wide, File: c.Made.File, Files: c.Made.Files, Signer: c.Made.Signer, Key: c.Record.Key, Since: s.Now(),
		Denied: c.Made.Omitted.IDs, Left: len(c.Made.Omitted.Paths), Granted: decision.Grant, Reason: string(decision.Reason), Text: decision.Text, Change: record.Publishing,
	}}
	return e
}

// rememberOwn keeps the bodies of an own list from coming back: as it was made and
// as it was published.
func (s *Ledger) rememberOwn(e *view.Entry, o record.Own, reason string) {
	for _, body := range []record.Digest{o.Body, e.Body} {
		r := record.Retirement{Body: body, List: e.Name, Own: o.Name, Version: e.Version, Package: e.Package, When: s.Now(), Reason: reason}
		if body == e.Body {
			r.Wide = e.Wide
		}
		s.SetRetired(r)
	}
}

// RemoveOwn removes an own list. Its counter and versions stay.
func (s *Ledger) RemoveOwn(name string, by api.Actor, reason string) (gone *view.Entry, err error) {
	o, e := s.Own[name], s.OwnEntry(name)
	if e == nil || !o.Removed.IsZero() {
		return nil, ErrNoOwn(name)
	}
	act, err := Act(s, by, reason)
	if err != nil {
		return nil, err
	}
	o.Removed, o.Changed = act.When, act
	s.SetOwn(o)
	leaving := *e
	leaving.Change = record.Removing
	s.Save(&leaving)
	s.finishRemoval(&leaving, by, func(err error) error {
		s.revert()
		return err
	})
	return e, nil
}

// finishRemoval takes the file of an own list out of the directory, whose record says
// that it goes and is durable first, and forgets the list. resists hears that it could
// not be removed; if it is nil that is left for later.
func (s *Ledger) finishRemoval(e *view.Entry, by api.Actor, resists func(error) error) {
	s.IntendUrgently()
	s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: e.Name, Resists: resists})
	s.Sync(e.Name)
	s.Forget(e.Name)
	s.Retire(e, "removed", wire.Peer{UID: by.UID, PID: by.PID})
	s.rememberOwn(e, s.Own[e.Own], "removed")
	s.Record()
}

func ErrNoOwn(name string) error {
	return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("there is no own list %q", name), Advice: "see digestctl own list"}
}

const (
	OwnDir = "own" // in the state directory: the owner's lists as they were made
	// UploadPrefix begins the names of files that are being sent; no own list's name
	// begins so.
	UploadPrefix = ".upload-"
	MaxUploads   = 4
	// UploadRest is how long one may rest before it is given up.
	UploadRest = 2 * time.Minute
)
