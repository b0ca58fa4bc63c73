// SPDX-License-Identifier: Apache-2.0

package state

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/store/record"
)

const (
	// MaxLog is how many decisions the log keeps.
	MaxLog = 10_000
	// MaxWaiting is how many it keeps at most while the journal does not take them.
	MaxWaiting = 50_000
	// MaxTampering and maxTamperingWaiting are the same for tampering, which
	// somebody else makes as much of as they like: it has a room of its own, so that
	// no decision leaves the log for it.
	MaxTampering        = 1000
	maxTamperingWaiting = 5000
)

// LogRooms are the numbers of the entries that the log has, each in ascending order.
type LogRooms struct {
	Decisions, Tampering []uint64
}

// enter notes an entry, and returns those that must make room for it. An entry that
// still waits to be taken may stay for longer.
func (l *LogRooms) enter(seq uint64, kind string, waits func(seq uint64) bool) (drop []uint64) {
	room, most, patience := &l.Decisions, MaxLog, MaxWaiting
	if kind == audit.KindTampered {
		room, most, patience = &l.Tampering, MaxTampering, maxTamperingWaiting
	}
	*room = append(*room, seq)
	n := 0
	for len(*room)-n > most && (len(*room)-n > patience || !waits((*room)[n])) {
		n++
	}
	drop, *room = (*room)[:n:n], (*room)[n:]
	return drop
}

// Event queues an entry of the log.
func (s *State) Event(e record.Event) {
	e.Seq, e.When = s.NextSeq, s.Now()
	s.NextSeq++
	s.Queue.Events = append(s.Queue.Events, e)
	waits := func(seq uint64) bool { return s.Waits && seq > s.Taken[TakerJournal] }
	s.Queue.Drop = append(s.Queue.Drop, s.Kept.enter(e.Seq, e.Kind, waits)...)
}
