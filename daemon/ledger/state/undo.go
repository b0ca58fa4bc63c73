// SPDX-License-Identifier: Apache-2.0

package state

import (
	"crypto/x509"

	"github.com/digestd/digestd/daemon/ledger/advice"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// undoPoint is what takes the state back to where an event began. Tables that readers
// share are never changed in place, so that it is enough to remember them. Counters,
// generation and problems stay: the first two never fall, and problems tell of now.
type undoPoint struct {
	Queue Records
	oldLists
	oldKeys
	oldDenials
	oldLog
	journal
}

// journal is what an event changed of tables that nobody shares.
type journal struct {
	Entries   []OldEntry
	Retired   []OldRetirement
	leftovers []oldLeftover
}

type oldLists struct {
	lines         map[view.LineID]record.Line
	bounds        oldBounds
	asides        []record.Aside
	own           map[string]record.Own
	importers     map[string]bool
	order         *view.Order
	Prefetch      bool
	mark          OpenMark
	unsettled     bool
	anew, signing bool
	said          advice.Table
}

// oldBounds are what keeps versions out besides lines.
type oldBounds struct {
	floorsOf map[string][]policy.OriginFloor
	floors   policy.OriginFloors
	past     view.Past
}

type oldKeys struct {
	keys         map[string]record.Key
	certificates []*x509.Certificate
	keyring      *pgp.Keyring
	keysRead     bool
	blacklist    Blacklisted
	banned       *view.Banned
}

type oldDenials struct {
	denied  map[string]record.Denial
	others  map[string][]policy.Denial
	denials *policy.Denials
	policed view.Policed
}

type oldLog struct {
	nextSeq uint64
	kept    LogRooms
	Due     int // signals that wait
}

type OldEntry struct {
	Name  string
	entry *view.Entry // nil: there was none
}

type OldRetirement struct {
	Body  record.Digest
	was   record.Retirement
	known bool
}

type oldLeftover struct {
	name  string
	was   record.Leftover
	known bool
}

// Begin prepares for an event. Records that earlier events left in the queue wait until this
// event succeeds or fails.
func (s *State) Begin() {
	s.LinesOwned, s.keysOwned = false, false // the next change copies them
	s.Table.Share()
	s.Undo = undoPoint{
		Queue: s.Queue,
		oldLists: oldLists{s.Lines, oldBounds{s.FloorsOf, s.Floors, s.Past}, s.Asides, s.Own, s.Importers, s.Order, s.Prefetch, s.MetaMark, s.Unsettled,
			s.Anew, s.SignsFiles, s.Table},
		oldKeys:    oldKeys{s.Keys, s.Certificates, s.Keyring, s.KeysRead, s.Blacklist, s.Banned},
		oldDenials: oldDenials{s.Denied, s.Others, s.Denials, s.Policed},
		oldLog:     oldLog{s.NextSeq, s.Kept, len(s.Due)},
		journal:    journal{emptied(s.Undo.Entries), emptied(s.Undo.Retired), emptied(s.Undo.leftovers)},
	}
	s.Queue = Records{}
	s.Plan.clear()
	clear(s.instances)
	s.instances = s.instances[:0]
}

// emptied is the room of what is past, without it.
func emptied[T any](past []T) []T {
	clear(past)
	return past[:0]
}

// Stand ends what begin began: the event stands, or what it asks for is under way.
func (s *State) Stand() {
	queue := s.Undo.Queue
	s.Undo.Queue = Records{}
	queue.Join(s.Queue)
	s.Queue = queue
}

// Rollback takes the state back to where the event began. Afterwards nothing has
// happened: neither memory nor what later plans carry has a trace of it.
func (s *State) Rollback() {
	u := &s.Undo
	s.RestoreTables()
	s.Queue, u.Queue = u.Queue, Records{}
	s.Plan.clear()
	s.NextSeq, s.Kept, s.MetaMark = u.nextSeq, u.kept, u.mark
}

// RestoreTables takes memory back, but not what was queued or is durable already.
func (s *State) RestoreTables() {
	u := &s.Undo
	for i := len(u.Entries) - 1; i >= 0; i-- {
		if old := u.Entries[i]; old.entry != nil {
			s.enter(old.entry)
		} else {
			s.drop(old.Name)
		}
	}
	for i := len(u.Retired) - 1; i >= 0; i-- {
		if old := u.Retired[i]; old.known {
			s.Retired[old.Body] = old.was
		} else {
			delete(s.Retired, old.Body)
		}
	}
	for i := len(u.leftovers) - 1; i >= 0; i-- {
		if old := u.leftovers[i]; old.known {
			s.Leftovers[old.name] = old.was
		} else {
			delete(s.Leftovers, old.name)
		}
	}
	u.Entries, u.Retired, u.leftovers = u.Entries[:0], u.Retired[:0], u.leftovers[:0]
	s.Lines, s.Keys, s.LinesOwned, s.keysOwned, s.Asides = u.lines, u.keys, false, false, u.asides
	s.FloorsOf, s.Floors, s.Past = u.bounds.floorsOf, u.bounds.floors, u.bounds.past
	s.Table = u.said
	s.Denied, s.Others, s.Denials, s.Policed = u.denied, u.others, u.denials, u.policed
	s.Own, s.Importers, s.Order, s.Prefetch = u.own, u.importers, u.order, u.Prefetch
	s.Blacklist, s.Banned = u.blacklist, u.banned
	s.Unsettled, s.Anew, s.SignsFiles, s.Certificates = u.unsettled, u.anew, u.signing, u.certificates
	s.Keyring, s.KeysRead = u.keyring, u.keysRead
}
