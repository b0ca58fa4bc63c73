// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/x509"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// undoPoint is what takes the state back to where an event began. Tables that readers
// share are never changed in place, so that it is enough to remember them. Counters,
// generation and problems stay: the first two never fall, and problems tell of now.
type undoPoint struct {
	queue records
	oldLists
	oldKeys
	oldDenials
	oldLog
	journal
}

// journal is what an event changed of tables that nobody shares.
type journal struct {
	entries   []oldEntry
	retired   []oldRetirement
	leftovers []oldLeftover
}

type oldLists struct {
	lines         map[view.LineID]record.Line
	asides        []record.Aside
	own           map[string]record.Own
	importers     map[string]bool
	order         *view.Order
	prefetch      bool
	mark          openMark
	unsettled     bool
	anew, signing bool
}

type oldKeys struct {
	keys         map[string]record.Key
	certificates []*x509.Certificate
	keyring      *pgp.Keyring
	keysRead     bool
	blacklist    blacklisted
	banned       *view.Banned
}

type oldDenials struct {
	denied  map[string]record.Denial
	others  map[string][]policy.Denial
	denials *policy.Denials
}

type oldLog struct {
	nextSeq uint64
	kept    logRooms
	due     int // signals that wait
}

type oldEntry struct {
	name  string
	entry *view.Entry // nil: there was none
}

type oldRetirement struct {
	body  record.Digest
	was   record.Retirement
	known bool
}

type oldLeftover struct {
	name  string
	was   record.Leftover
	known bool
}

// begin prepares for an event. What earlier ones left in the queue waits until it is
// known whether this one stands.
func (s *state) begin() {
	s.linesOwned, s.keysOwned = false, false // the next change copies them
	s.undo = undoPoint{
		queue: s.queue,
		oldLists: oldLists{s.lines, s.asides, s.own, s.importers, s.order, s.prefetch, s.metaMark, s.unsettled,
			s.anew, s.signsFiles},
		oldKeys:    oldKeys{s.keys, s.certificates, s.keyring, s.keysRead, s.blacklist, s.banned},
		oldDenials: oldDenials{s.denied, s.others, s.denials},
		oldLog:     oldLog{s.nextSeq, s.kept, len(s.due)},
		journal:    journal{s.undo.entries[:0], s.undo.retired[:0], s.undo.leftovers[:0]},
	}
	s.queue = records{}
	s.plan = &plan{}
}

// stand ends what begin began: the event stands, or what it asks for is under way.
func (s *state) stand() {
	queue := s.undo.queue
	s.undo.queue = records{}
	queue.join(s.queue)
	s.queue = queue
}

// rollback takes the state back to where the event began. Afterwards nothing has
// happened: neither memory nor what later plans carry has a trace of it.
func (s *state) rollback() {
	u := &s.undo
	s.restoreTables()
	s.queue, s.plan = u.queue, &plan{}
	s.nextSeq, s.kept, s.metaMark = u.nextSeq, u.kept, u.mark
	u.queue = records{}
}

// restoreTables takes memory back, but not what was queued or is durable already.
func (s *state) restoreTables() {
	u := &s.undo
	for i := len(u.entries) - 1; i >= 0; i-- {
		if old := u.entries[i]; old.entry != nil {
			s.enter(old.entry)
		} else {
			s.drop(old.name)
		}
	}
	for i := len(u.retired) - 1; i >= 0; i-- {
		if old := u.retired[i]; old.known {
			s.retired[old.body] = old.was
		} else {
			delete(s.retired, old.body)
		}
	}
	for i := len(u.leftovers) - 1; i >= 0; i-- {
		if old := u.leftovers[i]; old.known {
			s.leftovers[old.name] = old.was
		} else {
			delete(s.leftovers, old.name)
		}
	}
	u.entries, u.retired, u.leftovers = u.entries[:0], u.retired[:0], u.leftovers[:0]
	s.lines, s.keys, s.linesOwned, s.keysOwned, s.asides = u.lines, u.keys, false, false, u.asides
	s.denied, s.others, s.denials = u.denied, u.others, u.denials
	s.own, s.importers, s.order, s.prefetch = u.own, u.importers, u.order, u.prefetch
	s.blacklist, s.banned = u.blacklist, u.banned
	s.unsettled, s.anew, s.signsFiles, s.certificates = u.unsettled, u.anew, u.signing, u.certificates
	s.keyring, s.keysRead = u.keyring, u.keysRead
}

// revert takes back an event whose intent is durable already, and queues what makes
// the index forget it: what it announced could not be done. The log keeps what it has.
func (s *state) revert() {
	entries, retired := append([]oldEntry(nil), s.undo.entries...), append([]oldRetirement(nil), s.undo.retired...)
	lines, own := s.lines, s.own
	s.restoreTables()
	s.queue, s.due = records{}, s.due[:min(s.undo.due, len(s.due))]
	for _, e := range entries {
		if now := s.byName[e.name]; now != nil {
			s.queue.batch.PutList(now.List)
		} else {
			s.queue.batch.DeleteList(e.name)
		}
	}
	for _, r := range retired {
		if now, known := s.retired[r.body]; known {
			s.queue.batch.PutRetirement(now)
		} else {
			s.queue.batch.DeleteRetirement(r.body)
		}
	}
	for name := range own {
		if now, known := s.own[name]; !known {
			s.queue.batch.DeleteOwn(name)
		} else if now.Version != own[name].Version || now.Changed != own[name].Changed {
			s.queue.batch.PutOwn(now)
		}
	}
	for id := range lines {
		if now, known := s.lines[id]; !known || now.Counter != lines[id].Counter || now.High != lines[id].High {
			now.Name, now.Arch = id.Name, id.Arch
			s.queue.batch.PutLine(now)
		}
	}
	s.record()
}
