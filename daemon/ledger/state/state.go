// SPDX-License-Identifier: Apache-2.0

package state

import (
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/advice"
	"github.com/digestd/digestd/daemon/ledger/notes"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// State is everything that changes. It decides and does nothing else: what it asks for
// the executor carries out, one event at a time.
type State struct {
	Settings
	ListTable
	LineTable
	KeyTable
	DenialTable
	OwnTable
	Journal
	Health
	Settling
	Step

	Flight
}

// Flight is what is under way.
type Flight struct {
	Open map[*Transaction]bool
	// Basis rises with all by which lists are made and judged: keys, denials, mode, unsigned
	// packages, order, signer. Lists that were made with an earlier one have to be made again.
	Basis uint64
}

// NewState returns a state without anything in it, as of now.
func NewState(s Settings, now time.Time) *State {
	return &State{
		Settings: s,
		ListTable: ListTable{ByName: map[string]*view.Entry{}, ByHeader: map[record.Digest]*view.Entry{}, ByLine: map[view.LineID][]*view.Entry{},
			Changed: map[string]bool{}, Retired: map[record.Digest]record.Retirement{}, Leftovers: map[string]record.Leftover{}},
		LineTable:   LineTable{Lines: map[view.LineID]record.Line{}, Archs: map[string]bool{}, Table: advice.NewTable()},
		KeyTable:    KeyTable{Keys: map[string]record.Key{}, Keyring: pgp.NewKeyring()},
		DenialTable: DenialTable{Denied: map[string]record.Denial{}},
		OwnTable:    OwnTable{Own: map[string]record.Own{}},
		Journal:     Journal{NextSeq: 1, Taken: map[string]uint64{}, TakenKept: map[string]uint64{}},
		Health:      Health{Labels: LabelsLeft{Files: map[string]LeftLabel{}, Stale: map[string]bool{}}, Since: now},
		Step:        Step{Clock: now, Plan: &Plan{}},
		Flight:      Flight{Open: map[*Transaction]bool{}},
	}
}

// Settings are what the configuration and the machine ask for.
type Settings struct {
	Mode  policy.Mode
	Multi []string // globs of multi-version package names
	// KeepOld lets a replaced list stay until the machine restarts.
	KeepOld      bool
	NoExpired    bool                // an expired key vouches for nothing
	Unsigned     policy.Unsigned     // of packages that nobody signed
	Rules        string              // by which this digestd verifies
	Signer       string              // of new lists: a subject key identifier, or how they are signed else
	Certificates []*x509.Certificate // our own: the one that signs, then older ones
	SignsFiles   bool                // files may bear signatures of ours
	ListDir      string
	Boot         string
	StateDir     string
}

// ListTable has every list that is in the directory, or that an installed package could
// have there.
type ListTable struct {
	ByName    map[string]*view.Entry
	ByHeader  map[record.Digest]*view.Entry
	ByLine    map[view.LineID][]*view.Entry
	entries   []*view.Entry   // ByName in order, as snapshots share it
	Changed   map[string]bool // names in which entries is out of date
	lookup    *view.Lookup    // as of the last publication
	Retired   map[record.Digest]record.Retirement
	Leftovers map[string]record.Leftover // files that must leave the directory and could not, by name
	Asides    []record.Aside
	notKept   int // files that the quarantine had no room for, since it was empty
}

// LineTable has what is remembered of all versions of one name on one architecture.
type LineTable struct {
	Lines      map[view.LineID]record.Line
	LinesOwned bool            // Lines is not shared with a snapshot
	Archs      map[string]bool // of Lines
	Counter    uint64          // last activation counter given out
	Past       view.Past
	// RefuseOlder has older packages of a deployment refused that the machine went back to.
	RefuseOlder bool

	FloorsOf map[string][]policy.OriginFloor // what is set from elsewhere, by origin
	Floors   policy.OriginFloors             // all of that
	advice.Table
}

// Decided notes that something changed which an older index must not undo; urgent for what
// is to be anchored before it is answered.
func (s *State) Decided(urgent bool) {
	was := s.Past
	if s.Past = was.Decided(urgent); s.Past.Anchor != was.Anchor {
		s.Queue.Batch.PutAnchor(s.Past.Anchor)
	}
	s.Wake[WakeAnchor] = s.Wake[WakeAnchor] || s.Past != was
}

// KeyTable has the certificates that vouch, or ever did, and what speaks against them.
type KeyTable struct {
	Keys      map[string]record.Key
	keysOwned bool // Keys is not shared with a snapshot
	Keyring   *pgp.Keyring
	KeysRead  bool            // the keyring is what the stores of certificates hold
	Importers map[string]bool // certificates by which lists may be imported
	Blacklist Blacklisted     // the kernel's, as it was last read
	Banned    *view.Banned    // by it now, or once
}

// DenialTable has what may not be in any list.
type DenialTable struct {
	Denied  map[string]record.Denial   // by ID
	Others  map[string][]policy.Denial // what others deny, by their source
	Denials *policy.Denials            // all of these that hold now
	Policed view.Policed               // what policy files say
}

// OwnTable has the owner's lists, and the order that the owner gave to all.
type OwnTable struct {
	Own      map[string]record.Own // shared with snapshots
	Order    *view.Order
	Prefetch bool
}

// Journal is the log of decisions, and what is told of them.
type Journal struct {
	NextSeq   uint64
	Kept      LogRooms          // by the log
	ToldSeq   uint64            // up to where those who carry the log were woken
	Taken     map[string]uint64 // the last entry of the log that each who takes it has
	TakenKept map[string]uint64 // the same, as the index has it
	Waits     bool              // the log keeps what the journal has not taken
	Due       []func(Observer)  // what is durable and was not told of yet
	Observer  Observer
	Chain     record.Chain // of hashes over the log
}

// Health is what an administrator is told of how the daemon is.
type Health struct {
	Problems  []api.Problem
	Labels    LabelsLeft
	tampering struct{ ours, foreign tampering } // by whose files it was about
	DBPath    string
	DBKind    string
	LastSync  api.LastSync
	Since     time.Time
	Unwritten bool // the latest commit failed
}

// Settling is what the next comparison with rpm's database has to bring in order.
type Settling struct {
	// Unsettled: the directory may have what the index does not know, for a transaction
	// was cut short, something failed half-way, or the index was lost.
	Unsettled  bool
	MetaMark   OpenMark
	Anew       bool   // a list must be made anew
	Generation uint64 // rises whenever a transaction begins or ends
}

// Step is the event under way.
type Step struct {
	Clock     time.Time // when it happens
	Plan      *Plan     // what it asks for so far
	spare     *Plan     // an empty one; nil: none
	Queue     Records   // not yet committed
	Undo      undoPoint
	Log       notes.Notes
	Wake      [WakeKinds]bool
	instances []policy.Instance // of lines, as this event asked for them
}

// Now is the time of the event.
func (s *State) Now() time.Time { return s.Clock }

// Observer hears of what was decided, after it is durable.
type Observer interface {
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

// Save enters or replaces an entry, also in the index: at once, or for what an open
// transaction brought at its end.
func (s *State) Save(e *view.Entry) {
	s.Put(e)
	if !s.Pending(e) {
		s.Queue.Batch.PutList(e.List)
	}
}

// Put enters or replaces an entry in memory.
func (s *State) Put(e *view.Entry) {
	if n := len(s.Undo.Entries); n == 0 || s.Undo.Entries[n-1].Name != e.Name { // else that leads back already
		s.Undo.Entries = append(s.Undo.Entries, OldEntry{e.Name, s.ByName[e.Name]})
	}
	s.enter(e)
}

// Forget removes an entry from memory.
func (s *State) Forget(name string) {
	if old := s.ByName[name]; old != nil {
		s.Undo.Entries = append(s.Undo.Entries, OldEntry{name, old})
		s.drop(name)
	}
}

func (s *State) enter(e *view.Entry) {
	s.drop(e.Name)
	s.ByName[e.Name] = e
	if !e.Header.IsZero() && e.Change != record.Moving {
		s.ByHeader[e.Header] = e
	}
	id := view.LineOf(e.Package)
	s.ByLine[id] = append(s.ByLine[id], e)
	s.Changed[e.Name] = true
	if e.Active() && !e.Broken {
		s.NotLeft(e.Name)
	}
	if !e.From.IsZero() || e.Signature != nil && !e.Signature.Ends.IsZero() {
		s.Wake[WakeClock] = true
	}
}

func (s *State) drop(name string) {
	old := s.ByName[name]
	if old == nil {
		return
	}
	delete(s.ByName, name)
	if s.ByHeader[old.Header] == old {
		delete(s.ByHeader, old.Header)
	}
	id := view.LineOf(old.Package)
	s.ByLine[id] = slices.DeleteFunc(s.ByLine[id], func(e *view.Entry) bool { return e == old })
	if len(s.ByLine[id]) == 0 {
		delete(s.ByLine, id)
	}
	s.Changed[name] = true
}

// Sorted brings the slice that snapshots share up to date: a new slice, never
// the old one changed.
func (s *State) Sorted() []*view.Entry {
	const few = 32
	switch {
	case len(s.Changed) == 0:
		return s.entries
	case len(s.Changed) > few:
		s.entries = slices.SortedFunc(maps.Values(s.ByName), func(a, b *view.Entry) int { return strings.Compare(a.Name, b.Name) })
	default:
		entries := make([]*view.Entry, len(s.entries), len(s.entries)+len(s.Changed))
		copy(entries, s.entries)
		for name := range s.Changed {
			i, found := slices.BinarySearchFunc(entries, name, view.CompareEntry)
			e := s.ByName[name]
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
	clear(s.Changed)
	return s.entries
}

// sameSlice reports whether a and b are one slice, of entries that never change.
func sameSlice(a, b []*view.Entry) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// SetLine records a line and queues it for the next commit.
func (s *State) SetLine(l record.Line) {
	if !s.LinesOwned {
		s.Lines, s.LinesOwned = maps.Clone(s.Lines), true
	}
	if old := s.Lines[view.LineID{Name: l.Name, Arch: l.Arch}]; old.High != l.High || old.Retired != l.Retired || old.Floor != l.Floor || len(old.Grants) != len(l.Grants) {
		s.Decided(false)
	}
	s.Lines[view.LineID{Name: l.Name, Arch: l.Arch}] = l
	s.Archs[l.Arch] = true
	s.Queue.Batch.PutLine(l)
}

// View is what readers are to see of the state as it is now.
func (s *State) View() *view.Snapshot {
	s.LinesOwned, s.keysOwned = false, false
	s.Table.Share()
	if entries := s.Sorted(); s.lookup == nil || !sameSlice(entries, s.lookup.Entries) {
		s.lookup = NewLookup(entries)
		s.Wake[WakeLists] = true
	}
	return &view.Snapshot{
		Lists: view.Lists{
			Entries: s.lookup.Entries, Lookup: s.lookup, Lines: s.Lines, Floors: s.Floors, Asides: slices.Clip(s.Asides),
			Retired: len(s.Retired), Own: s.Own, Prefetch: s.Prefetch, Advice: s.Table.View(),
		},
		Keyed:   view.Keyed{Keyring: s.Keyring, Keys: s.Keys, NoExpired: s.NoExpired, Signer: s.Signer, Certificates: s.Certificates},
		Denying: view.Denying{Denied: s.Denied, Denials: s.Denials},
		Policed: s.Policed,
		Running: view.Running{
			Mode: s.Mode, Basis: s.Basis, Counter: s.Counter, LastEvent: s.ToldSeq - 1, Problems: slices.Clone(s.Problems),
			Open: len(s.Open), LastSync: s.LastSync, DBKind: s.DBKind, DBPath: s.DBPath, Since: s.Since,
			Past: s.Past, RefuseOlder: s.RefuseOlder,
		},
	}
}

// Problem tells the administrator of something that lasts, until it is solved.
func (s *State) Problem(id, severity, text, advice string) {
	p := api.Problem{ID: id, Severity: severity, Text: text, Advice: advice, Since: s.Now()}
	if i := slices.IndexFunc(s.Problems, func(q api.Problem) bool { return q.ID == id }); i >= 0 {
		p.Since = s.Problems[i].Since
		s.Problems[i] = p
		return
	}
	s.Log.Warn("problem found", "id", id, "text", text, "advice", advice)
	s.Problems = append(s.Problems, p)
}

func (s *State) Solved(id string) {
	s.Problems = slices.DeleteFunc(s.Problems, func(p api.Problem) bool { return p.ID == id })
}

// PolicyLine is a line as package policy sees it, with what is active of it. It is valid
// until the event is over.
func (s *State) PolicyLine(id view.LineID) policy.Line {
	l := s.Lines[id]
	p := policy.Line{
		High: l.High, Floor: l.Floor, Retired: l.Retired, Counter: l.Counter,
		Multi: l.Multi || policy.IsMulti(s.Multi, id.Name),
	}
	for _, g := range l.Grants {
		p.Grants = append(p.Grants, g.EVR)
	}
	entries := s.ByLine[id]
	active := s.roomFor(len(entries))
	if p.Doubt = s.Past.Doubt; p.Doubt != policy.NoDoubt {
		p.Shown = view.Highest(entries)
	}
	for _, e := range entries {
		void := e.Granted && l.Voided.Ends(e.Package.EVR, e.Counter)
		if (e.Active() || (e.Suspended() || e.Retracted()) && !void) && e.Grace == "" {
			active = append(active, policy.Instance{EVR: e.Package.EVR, Granted: e.Granted && !void, Retracted: e.Retracted()})
		}
	}
	if len(active) > 0 {
		p.Active = active
	}
	return p
}

// roomFor returns room for so many instances of a line, which the next event takes back.
func (s *State) roomFor(n int) []policy.Instance {
	const few = 32
	if n == 0 {
		return nil
	}
	if cap(s.instances)-len(s.instances) < n {
		s.instances = make([]policy.Instance, 0, max(n, few))
	}
	from := len(s.instances)
	s.instances = s.instances[:from+n]
	return s.instances[from : from : from+n]
}

// SaveLine takes over what a transition of package policy changed.
func (s *State) SaveLine(id view.LineID, p policy.Line) {
	l := s.Lines[id]
	l.Name, l.Arch = id.Name, id.Arch
	l.High, l.Floor, l.Retired, l.Counter, l.Multi = p.High, p.Floor, p.Retired, p.Counter, p.Multi
	l.Grants = slices.DeleteFunc(slices.Clone(l.Grants), func(g record.Grant) bool {
		return !slices.Contains(p.Grants, g.EVR)
	})
	if l.Floor.IsZero() {
		l.FloorBy = nil
	}
	s.SetLine(l)
}

// NextCounter returns a number higher than any given out before.
func (s *State) NextCounter() uint64 {
	s.Counter++
	return s.Counter
}

// Admit asks policy whether the list of pkg may exist; multi is what its header
// says of several versions side by side.
func (s *State) Admit(pkg nevra.NEVRA, multi bool) policy.Decision {
	return s.AdmitIn(nil, pkg, multi)
}

// AdmitIn is admit for a package that t brings.
func (s *State) AdmitIn(t *Transaction, pkg nevra.NEVRA, multi bool) policy.Decision {
	return s.admit(t, pkg, multi, advice.Told{})
}

// AdmitCandidate is admitIn for a package whose header is there.
func (s *State) AdmitCandidate(t *Transaction, c *view.Candidate) policy.Decision {
	return s.admit(t, c.Pkg, c.Multi, advice.ToldBy(c))
}

func (s *State) admit(t *Transaction, pkg nevra.NEVRA, multi bool, told advice.Told) policy.Decision {
	line := s.lineTold(pkg, t, told)
	line.Multi = line.Multi || multi
	return policy.Admit(s.Mode, line, pkg)
}

// After queues what the observer hears once what is queued is durable.
func (s *State) After(fn func(Observer)) { s.Queue.tell = append(s.Queue.tell, fn) }

// TellAll lets the observer hear what is durable by now. Other signals wait for the commit that
// makes their records durable.
func (s *State) TellAll() {
	if s.Observer != nil {
		for _, fn := range s.Due {
			fn(s.Observer)
		}
	}
	s.Due = nil
}

// SetKey records a certificate and queues it for the next commit.
func (s *State) SetKey(k record.Key) {
	if !s.keysOwned {
		s.Keys, s.keysOwned = maps.Clone(s.Keys), true
	}
	if old := s.Keys[k.Fingerprint]; old.Revoked != k.Revoked || len(old.Overruled) != len(k.Overruled) {
		s.Decided(true)
	}
	s.Keys[k.Fingerprint] = k
	s.Queue.Batch.PutKey(k)
}

func NewLookup(entries []*view.Entry) *view.Lookup { return &view.Lookup{Entries: entries} }
