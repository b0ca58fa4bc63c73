// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store"
)

// state is everything that changes. One goroutine owns it; see owner.go.
type state struct {
	index indexEffects
	dir   directoryEffects
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
	listsChanged chan<- struct{}     // told when entries did
	timed        chan<- struct{}     // told when entries came that time may change
	newTimed     bool                // such entries came since the last snapshot
	goneLists    *goneLists          // on whose files signatures may be; nil where files get none
	chores       chan<- struct{}     // told that something is left to do, see doChores
	labelsWanted chan<- struct{}     // told that labels are to be written
	boot         string
	stateDir     string
	log          *slog.Logger
	now          func() time.Time

	byName   map[string]*entry
	byHeader map[store.Digest]*entry
	byLine   map[lineID][]*entry
	entries  []*entry        // byName in order, as snapshots share it
	changed  map[string]bool // names in which entries is out of date
	lookup   *lookup         // as of the last publication
	lines    map[lineID]store.Line
	archs    map[string]bool // of lines
	asides   []store.Aside
	notKept  int // files that the quarantine had no room for, since it was empty
	retired  map[store.Digest]store.Retirement
	keys     map[string]store.Key
	keyring  *pgp.Keyring
	problems []api.Problem
	labels   labelsLeft
	denied   map[string]store.Denial    // by ID
	others   map[string][]policy.Denial // what others deny, by who says so
	denials  *policy.Denials            // all of these that hold now

	own       map[string]store.Own // shared with snapshots
	importers map[string]bool      // certificates by which lists may be imported
	order     *order
	prefetch  bool
	blacklist blacklisted // the kernel's, as it was last read
	banned    *banned     // by it now, or once

	batch      store.Batch // not yet committed
	nextSeq    uint64
	kept       logRooms          // by the log
	toldSeq    uint64            // up to where those who carry the log were woken
	taken      map[string]uint64 // the last entry of the log that each who takes it has
	takenKept  map[string]uint64 // the same, as the index has it
	wakes      []chan<- struct{} // of those who carry the log
	waits      bool              // the log keeps what the journal has not taken
	units      map[uint32]string // of processes that act, until the next commit
	unitOf     func(pid uint32) string
	counter    uint64 // last activation counter given out
	generation uint64 // rises whenever a transaction begins or ends
	// basis rises with all by which lists are made and judged: keys, denials, mode,
	// unsigned packages, order, signer. What was made by an earlier one has to be made
	// again.
	basis      uint64
	keysRead   bool // the keyring is what the stores of certificates hold
	open       map[*transaction]bool
	linesOwned bool // lines is not shared with a snapshot
	keysOwned  bool // keys is not shared with a snapshot

	// interrupted: the index does not know all that this daemon published,
	// for a transaction was cut short or the index was lost.
	interrupted bool
	tampering   struct{ ours, foreign tampering } // by whose files it was about
	leftovers   map[string]store.Leftover         // files that must leave the directory and could not, by name
	freed       []withdrawn                       // of these, what has left since; see takeFreed
	exchanging  bool                              // lists are replaced outside of any transaction
	anew        bool                              // a list must be made anew
	metaMark    openMark
	tell        []func(observer) // once the next commit is durable
	due         []func(observer) // now
	unwritten   bool             // the latest commit failed

	dbPath, dbKind string
	lastSync       api.LastSync
	since          time.Time
	published      atomic.Pointer[snapshot]
	observer       observer
}

// newState makes the state that c asks for; load fills it. unitOf names the unit of
// the service manager that a process belongs to, "" for none.
func newState(c config.Config, mode policy.Mode, unsigned policy.Unsigned, index indexEffects, dir directoryEffects, unitOf func(pid uint32) string, log *slog.Logger, now func() time.Time) *state {
	return &state{
		index: index, dir: dir, mode: mode, multi: c.MultiVersion, boot: bootID(), log: log, now: now,
		keepOld: c.KeepOld == keepUntilRestart, noExpired: c.Expired == "withdraw", unsigned: unsigned, rules: verifierRules(),
		labels: labelsLeft{files: map[string]leftLabel{}, stale: map[string]bool{}},
		open:   map[*transaction]bool{}, since: now(), stateDir: c.State,
		waits: c.AuditTrail != trailNone, unitOf: unitOf,
	}
}

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

// load fills s from the index.
func (s *state) load(rebuild bool) error {
	c, err := s.index.Load()
	if err != nil {
		return fmt.Errorf("cannot load the index: %w", err)
	}
	s.byName = make(map[string]*entry, len(c.Lists))
	s.byHeader = make(map[store.Digest]*entry, len(c.Lists))
	s.byLine = make(map[lineID][]*entry, len(c.Lists))
	s.changed = make(map[string]bool, len(c.Lists))
	s.lines = make(map[lineID]store.Line, len(c.Lines))
	s.archs = map[string]bool{}
	s.linesOwned = true
	for _, l := range c.Lists {
		if l.Own != "" {
			l.Package = ownPackage(l.Own, l.Version)
		}
		s.put(&entry{List: l})
	}
	for _, l := range c.Lines {
		s.lines[lineID{l.Name, l.Arch}] = l
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
	s.keys = make(map[string]store.Key, len(c.Keys))
	for _, k := range c.Keys {
		s.keys[k.Fingerprint] = k
	}
	s.nextSeq = c.NextSeq
	if err := s.loadLog(); err != nil {
		return err
	}
	s.toldSeq, s.taken, s.takenKept = c.NextSeq, map[string]uint64{}, map[string]uint64{}
	maps.Copy(s.taken, c.Taken)
	maps.Copy(s.takenKept, c.Taken)
	s.counter = s.index.Counter()
	s.interrupted = c.Meta[metaOpen] != nil
	s.metaMark = openMark{queued: s.interrupted, durable: s.interrupted}
	s.signsFiles = c.Meta[metaSigned] != nil
	s.denied = make(map[string]store.Denial, len(c.Denials))
	for _, d := range c.Denials {
		s.denied[d.ID] = d
	}
	s.leftovers = c.Leftovers()
	for name := range s.leftovers {
		if e := s.byName[name]; e != nil && e.active() {
			s.notLeft(name)
		}
	}
	if s.tellOfLeftovers(); len(s.leftovers) > 0 {
		s.chore()
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
	return s.loadOwn(c.Own, rebuild)
}

// put enters or replaces an entry.
func (s *state) put(e *entry) {
	s.forget(e.Name)
	s.byName[e.Name] = e
	if !e.Header.IsZero() && e.Change != store.Moving {
		s.byHeader[e.Header] = e
	}
	id := lineOf(e.Package)
	s.byLine[id] = append(s.byLine[id], e)
	s.changed[e.Name] = true
	if e.active() && !e.broken {
		s.notLeft(e.Name)
	}
	s.newTimed = s.newTimed || !e.From.IsZero() || e.Signature != nil && !e.Signature.Ends.IsZero()
}

// forget removes an entry from memory.
func (s *state) forget(name string) {
	old := s.byName[name]
	if old == nil {
		return
	}
	delete(s.byName, name)
	if s.byHeader[old.Header] == old {
		delete(s.byHeader, old.Header)
	}
	id := lineOf(old.Package)
	s.byLine[id] = slices.DeleteFunc(s.byLine[id], func(e *entry) bool { return e == old })
	if len(s.byLine[id]) == 0 {
		delete(s.byLine, id)
	}
	s.changed[name] = true
}

// sorted brings the slice that snapshots share up to date: a new slice, never
// the old one changed.
func (s *state) sorted() []*entry {
	const few = 32
	switch {
	case len(s.changed) == 0:
		return s.entries
	case len(s.changed) > few:
		s.entries = slices.SortedFunc(maps.Values(s.byName), func(a, b *entry) int { return strings.Compare(a.Name, b.Name) })
	default:
		entries := make([]*entry, len(s.entries), len(s.entries)+len(s.changed))
		copy(entries, s.entries)
		for name := range s.changed {
			i, found := slices.BinarySearchFunc(entries, name, compareEntry)
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
func sameSlice(a, b []*entry) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// setLine records a line and queues it for the next commit.
func (s *state) setLine(l store.Line) {
	if !s.linesOwned {
		s.lines, s.linesOwned = maps.Clone(s.lines), true
	}
	s.lines[lineID{l.Name, l.Arch}] = l
	s.archs[l.Arch] = true
	s.batch.PutLine(l)
}

// publish lets readers see the state as it is now.
func (s *state) publish() {
	s.linesOwned, s.keysOwned = false, false
	if entries := s.sorted(); s.lookup == nil || !sameSlice(entries, s.lookup.entries) {
		s.lookup = newLookup(entries)
		s.wakeNeighbours()
	}
	s.published.Store(&snapshot{
		entries:      s.lookup.entries,
		lookup:       s.lookup,
		lines:        s.lines,
		asides:       slices.Clip(s.asides),
		keyring:      s.keyring,
		keys:         s.keys,
		denied:       s.denied,
		denials:      s.denials,
		signer:       s.signer,
		certificates: s.certificates,
		mode:         s.mode,
		noExpired:    s.noExpired,
		basis:        s.basis,
		counter:      s.counter,
		lastEvent:    s.toldSeq - 1,
		problems:     slices.Clone(s.problems),
		open:         len(s.open),
		lastSync:     s.lastSync,
		dbKind:       s.dbKind,
		dbPath:       s.dbPath,
		retired:      len(s.retired),
		since:        s.since,
		own:          s.own,
		prefetch:     s.prefetch,
	})
	if s.newTimed {
		s.newTimed = false
		select {
		case s.timed <- struct{}{}:
		default:
		}
	}
	if s.observer != nil {
		s.observer.Changed()
	}
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
func (s *state) policyLine(id lineID) policy.Line {
	l := s.lines[id]
	p := policy.Line{
		High: l.High, Floor: l.Floor, Retired: l.Retired, Counter: l.Counter,
		Multi: l.Multi || policy.IsMulti(s.multi, id.name),
	}
	for _, g := range l.Grants {
		p.Grants = append(p.Grants, g.EVR)
	}
	for _, e := range s.byLine[id] {
		if (e.active() || e.suspended()) && e.Grace == "" {
			p.Active = append(p.Active, policy.Instance{EVR: e.Package.EVR, Granted: e.Granted})
		}
	}
	return p
}

// saveLine takes over what a transition of package policy changed.
func (s *state) saveLine(id lineID, p policy.Line) {
	l := s.lines[id]
	l.Name, l.Arch = id.name, id.arch
	l.High, l.Floor, l.Retired, l.Counter, l.Multi = p.High, p.Floor, p.Retired, p.Counter, p.Multi
	l.Grants = slices.DeleteFunc(slices.Clone(l.Grants), func(g store.Grant) bool {
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

// after queues what the observer hears once the next commit is durable.
func (s *state) after(fn func(observer)) { s.tell = append(s.tell, fn) }

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
func (s *state) setKey(k store.Key) {
	if !s.keysOwned {
		s.keys, s.keysOwned = maps.Clone(s.keys), true
	}
	s.keys[k.Fingerprint] = k
	s.batch.PutKey(k)
}
