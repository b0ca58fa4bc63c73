// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// state is everything that changes. It decides and does nothing else: what it asks for
// the executor carries out, one event at a time.
type state struct {
	mode  policy.Mode
	multi []string // globs of multi-version package names
	// keepOld lets a replaced list stay until the machine restarts.
	keepOld      bool
	noExpired    bool                // an expired key vouches for nothing
	unsigned     policy.Unsigned     // of packages that nobody signed
	rules        string              // by which this digestd verifies
	signer       string              // of new lists, as maker.signer
	certificates []*x509.Certificate // our own: the one that signs, then older ones
	signsFiles   bool                // files may bear signatures of ours
	listDir      string
	boot         string
	stateDir     string
	log          notes
	clock        time.Time // of the event
	wake         [wakeKinds]bool

	byName   map[string]*view.Entry
	byHeader map[record.Digest]*view.Entry
	byLine   map[view.LineID][]*view.Entry
	entries  []*view.Entry   // byName in order, as snapshots share it
	changed  map[string]bool // names in which entries is out of date
	lookup   *view.Lookup    // as of the last publication
	lines    map[view.LineID]record.Line
	archs    map[string]bool // of lines
	asides   []record.Aside
	notKept  int // files that the quarantine had no room for, since it was empty
	retired  map[record.Digest]record.Retirement
	keys     map[string]record.Key
	keyring  *pgp.Keyring
	problems []api.Problem
	labels   labelsLeft
	denied   map[string]record.Denial   // by ID
	others   map[string][]policy.Denial // what others deny, by who says so
	denials  *policy.Denials            // all of these that hold now

	own       map[string]record.Own // shared with snapshots
	importers map[string]bool       // certificates by which lists may be imported
	order     *view.Order
	prefetch  bool
	blacklist blacklisted  // the kernel's, as it was last read
	banned    *view.Banned // by it now, or once

	plan       *plan   // what the event asks for so far
	queue      records // not yet committed
	undo       undoPoint
	nextSeq    uint64
	kept       logRooms          // by the log
	toldSeq    uint64            // up to where those who carry the log were woken
	taken      map[string]uint64 // the last entry of the log that each who takes it has
	takenKept  map[string]uint64 // the same, as the index has it
	waits      bool              // the log keeps what the journal has not taken
	counter    uint64            // last activation counter given out
	generation uint64            // rises whenever a transaction begins or ends
	// basis rises with all by which lists are made and judged: keys, denials, mode,
	// unsigned packages, order, signer. What was made by an earlier one has to be made
	// again.
	basis      uint64
	keysRead   bool // the keyring is what the stores of certificates hold
	open       map[*transaction]bool
	linesOwned bool // lines is not shared with a snapshot
	keysOwned  bool // keys is not shared with a snapshot

	// unsettled: the directory may have what the index does not know, for a transaction
	// was cut short, something failed half-way, or the index was lost. The next
	// comparison settles that.
	unsettled bool
	tampering struct{ ours, foreign tampering } // by whose files it was about
	leftovers map[string]record.Leftover        // files that must leave the directory and could not, by name
	anew      bool                              // a list must be made anew
	metaMark  openMark
	due       []func(observer) // what is durable and was not told of yet
	unwritten bool             // the latest commit failed

	dbPath, dbKind string
	lastSync       api.LastSync
	since          time.Time
	observer       observer
}

// now is the time of the event.
func (s *state) now() time.Time { return s.clock }

// observer hears of what was decided, after it is durable.
type observer interface {
	ListPublished(list, nevra string)
	ListWithdrawn(list, nevra, reason string)
	RollbackRefused(nevra, reason string)
	TamperDetected(name, reason string)
	TransactionFinished(published, withdrawn uint32)
	KeyRevoked(fingerprint, reason string, lists uint32)
	Changed() // readers see another state
	Denied(id, what, reason string)
	DenialLifted(id, what, reason string)
}

// content is what a start finds in the state directory.
type content struct {
	record.Content
	counter uint64    // the highest that was given out
	log     logRooms  // the entries that the log has
	bodies  []ownFile // of own lists
	rebuilt bool      // the index was lost
}

// load fills s from the index, and from what lies beside it.
func (s *state) load(c content) error {
	s.byName = make(map[string]*view.Entry, len(c.Lists))
	s.byHeader = make(map[record.Digest]*view.Entry, len(c.Lists))
	s.byLine = make(map[view.LineID][]*view.Entry, len(c.Lists))
	s.changed = make(map[string]bool, len(c.Lists))
	s.lines = make(map[view.LineID]record.Line, len(c.Lines))
	s.archs = map[string]bool{}
	s.linesOwned = true
	for _, l := range c.Lists {
		if l.Own != "" {
			l.Package = ownPackage(l.Own, l.Version)
		}
		s.put(&view.Entry{List: l})
	}
	for _, l := range c.Lines {
		s.lines[view.LineID{Name: l.Name, Arch: l.Arch}] = l
		s.archs[l.Arch] = true
	}
	s.asides = c.Asides
	s.retired = c.Retired
	for body, r := range s.retired {
		if r.Own != "" {
			r.Package = ownPackage(r.Own, r.Version)
			s.retired[body] = r
		}
	}
	s.keys = make(map[string]record.Key, len(c.Keys))
	for _, k := range c.Keys {
		s.keys[k.Fingerprint] = k
	}
	s.nextSeq = c.NextSeq
	s.kept = c.log
	s.toldSeq, s.taken, s.takenKept = c.NextSeq, map[string]uint64{}, map[string]uint64{}
	maps.Copy(s.taken, c.Taken)
	maps.Copy(s.takenKept, c.Taken)
	s.counter = c.counter
	s.unsettled = c.Meta[metaOpen] != nil
	s.metaMark = openMark{queued: s.unsettled, durable: s.unsettled}
	s.signsFiles = c.Meta[metaSigned] != nil
	s.denied = make(map[string]record.Denial, len(c.Denials))
	for _, d := range c.Denials {
		s.denied[d.ID] = d
	}
	s.leftovers = c.Leftovers()
	for name := range s.leftovers {
		if e := s.byName[name]; e != nil && e.Active() {
			s.notLeft(name)
		}
	}
	if s.tellOfLeftovers(); len(s.leftovers) > 0 {
		s.wake[wakeChores] = true
	}
	s.compileDenials()
	if err := s.loadOrder(c.Meta); err != nil {
		return err
	}
	if len(s.certificates) > 0 {
		s.adoptCertificate(c.Meta[metaCertificate], s.certificates[0])
	}
	if err := s.loadLabels(c.Meta); err != nil {
		return err
	}
	return s.loadOwn(c.Own, c.bodies, c.rebuilt)
}

// save enters or replaces an entry, also in the index: at once, or for what an open
// transaction brought at its end.
func (s *state) save(e *view.Entry) {
	s.put(e)
	if !s.pending(e) {
		s.queue.batch.PutList(e.List)
	}
}

// put enters or replaces an entry in memory.
func (s *state) put(e *view.Entry) {
	s.undo.entries = append(s.undo.entries, oldEntry{e.Name, s.byName[e.Name]})
	s.enter(e)
}

// forget removes an entry from memory.
func (s *state) forget(name string) {
	if old := s.byName[name]; old != nil {
		s.undo.entries = append(s.undo.entries, oldEntry{name, old})
		s.drop(name)
	}
}

func (s *state) enter(e *view.Entry) {
	s.drop(e.Name)
	s.byName[e.Name] = e
	if !e.Header.IsZero() && e.Change != record.Moving {
		s.byHeader[e.Header] = e
	}
	id := view.LineOf(e.Package)
	s.byLine[id] = append(s.byLine[id], e)
	s.changed[e.Name] = true
	if e.Active() && !e.Broken {
		s.notLeft(e.Name)
	}
	if !e.From.IsZero() || e.Signature != nil && !e.Signature.Ends.IsZero() {
		s.wake[wakeClock] = true
	}
}

func (s *state) drop(name string) {
	old := s.byName[name]
	if old == nil {
		return
	}
	delete(s.byName, name)
	if s.byHeader[old.Header] == old {
		delete(s.byHeader, old.Header)
	}
	id := view.LineOf(old.Package)
	s.byLine[id] = slices.DeleteFunc(s.byLine[id], func(e *view.Entry) bool { return e == old })
	if len(s.byLine[id]) == 0 {
		delete(s.byLine, id)
	}
	s.changed[name] = true
}

// sorted brings the slice that snapshots share up to date: a new slice, never
// the old one changed.
func (s *state) sorted() []*view.Entry {
	const few = 32
	switch {
	case len(s.changed) == 0:
		return s.entries
	case len(s.changed) > few:
		s.entries = slices.SortedFunc(maps.Values(s.byName), func(a, b *view.Entry) int { return strings.Compare(a.Name, b.Name) })
	default:
		entries := make([]*view.Entry, len(s.entries), len(s.entries)+len(s.changed))
		copy(entries, s.entries)
		for name := range s.changed {
			i, found := slices.BinarySearchFunc(entries, name, view.CompareEntry)
			e := s.byName[name]
			switch {
			case found && e != nil:
				entries[i] = e
			case found:
				entries = slices.Delete(entries, i, i+1)
			case e != nil:
				entries = slices.Insert(entries, i, e)
			}
		}
		s.entries = entries
	}
	clear(s.changed)
	return s.entries
}

// sameSlice reports whether a and b are one slice, of entries that never change.
func sameSlice(a, b []*view.Entry) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// setLine records a line and queues it for the next commit.
func (s *state) setLine(l record.Line) {
	if !s.linesOwned {
		s.lines, s.linesOwned = maps.Clone(s.lines), true
	}
	s.lines[view.LineID{Name: l.Name, Arch: l.Arch}] = l
	s.archs[l.Arch] = true
	s.queue.batch.PutLine(l)
}

// view is what readers are to see of the state as it is now.
func (s *state) view() *view.Snapshot {
	s.linesOwned, s.keysOwned = false, false
	if entries := s.sorted(); s.lookup == nil || !sameSlice(entries, s.lookup.Entries) {
		s.lookup = newLookup(entries)
		s.wake[wakeLists] = true
	}
	v := &view.Snapshot{
		Entries:      s.lookup.Entries,
		Lookup:       s.lookup,
		Lines:        s.lines,
		Asides:       slices.Clip(s.asides),
		Keyring:      s.keyring,
		Keys:         s.keys,
		Denied:       s.denied,
		Denials:      s.denials,
		Signer:       s.signer,
		Certificates: s.certificates,
		Mode:         s.mode,
		NoExpired:    s.noExpired,
		Basis:        s.basis,
		Counter:      s.counter,
		LastEvent:    s.toldSeq - 1,
		Problems:     slices.Clone(s.problems),
		Open:         len(s.open),
		LastSync:     s.lastSync,
		DBKind:       s.dbKind,
		DBPath:       s.dbPath,
		Retired:      len(s.retired),
		Since:        s.since,
		Own:          s.own,
		Prefetch:     s.prefetch,
	}
	return v
}

// problem tells the administrator of something that lasts, until it is solved.
func (s *state) problem(id, severity, text, advice string) {
	p := api.Problem{ID: id, Severity: severity, Text: text, Advice: advice, Since: s.now()}
	if i := slices.IndexFunc(s.problems, func(q api.Problem) bool { return q.ID == id }); i >= 0 {
		p.Since = s.problems[i].Since
		s.problems[i] = p
		return
	}
	s.log.Warn("problem found", "id", id, "text", text, "advice", advice)
	s.problems = append(s.problems, p)
}

func (s *state) solved(id string) {
	s.problems = slices.DeleteFunc(s.problems, func(p api.Problem) bool { return p.ID == id })
}

// policyLine is a line as package policy sees it, with what is active of it.
func (s *state) policyLine(id view.LineID) policy.Line {
	l := s.lines[id]
	p := policy.Line{
		High: l.High, Floor: l.Floor, Retired: l.Retired, Counter: l.Counter,
		Multi: l.Multi || policy.IsMulti(s.multi, id.Name),
	}
	for _, g := range l.Grants {
		p.Grants = append(p.Grants, g.EVR)
	}
	for _, e := range s.byLine[id] {
		if (e.Active() || e.Suspended()) && e.Grace == "" {
			p.Active = append(p.Active, policy.Instance{EVR: e.Package.EVR, Granted: e.Granted})
		}
	}
	return p
}

// saveLine takes over what a transition of package policy changed.
func (s *state) saveLine(id view.LineID, p policy.Line) {
	l := s.lines[id]
	l.Name, l.Arch = id.Name, id.Arch
	l.High, l.Floor, l.Retired, l.Counter, l.Multi = p.High, p.Floor, p.Retired, p.Counter, p.Multi
	l.Grants = slices.DeleteFunc(slices.Clone(l.Grants), func(g record.Grant) bool {
		return !slices.Contains(p.Grants, g.EVR)
	})
	if l.Floor.IsZero() {
		l.FloorBy = nil
	}
	s.setLine(l)
}

// nextCounter returns a number higher than any given out before.
func (s *state) nextCounter() uint64 {
	s.counter++
	return s.counter
}

// admit asks policy whether the list of pkg may exist; multi is what its header
// says of several versions side by side.
func (s *state) admit(pkg nevra.NEVRA, multi bool) policy.Decision {
	return s.admitIn(nil, pkg, multi)
}

// admitIn is admit for a package that t brings.
func (s *state) admitIn(t *transaction, pkg nevra.NEVRA, multi bool) policy.Decision {
	line := s.lineFor(pkg, t)
	line.Multi = line.Multi || multi
	return policy.Admit(s.mode, line, pkg)
}

// after queues what the observer hears once what is queued is durable.
func (s *state) after(fn func(observer)) { s.queue.tell = append(s.queue.tell, fn) }

// tellAll lets the observer hear what is durable by now. What is not waits for the
// commit that makes it so.
func (s *state) tellAll() {
	if s.observer != nil {
		for _, fn := range s.due {
			fn(s.observer)
		}
	}
	s.due = nil
}

// setKey records a certificate and queues it for the next commit.
func (s *state) setKey(k record.Key) {
	if !s.keysOwned {
		s.keys, s.keysOwned = maps.Clone(s.keys), true
	}
	s.keys[k.Fingerprint] = k
	s.queue.batch.PutKey(k)
}

// problemIndexLost stands until somebody acknowledges that what was superseded is
// forgotten.
const problemIndexLost = "index-lost"

// recovered notes what opening the index brought to light; rebuilt if it was lost.
func (s *state) recovered(text string, rebuilt bool) {
	s.log.Error("index recovered", "text", text)
	if rebuilt {
		s.problem(problemIndexLost, "error", text, "check the disk and who had access to the state directory; set floors again with digestctl floor set, denials with digestctl deny import; acknowledge with digestctl sync")
		s.unsettled = true
	}
	s.event(record.Event{Kind: audit.KindIndexRecovered, Reason: "index", Text: text})
	s.record()
}
