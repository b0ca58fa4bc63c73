// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/store/record"
)

const (
	// maxLog is how many decisions the log keeps.
	maxLog = 10_000
	// maxWaiting is how many it keeps at most while the journal does not take them.
	maxWaiting = 50_000
	// maxTampering and maxTamperingWaiting are the same for tampering, which
	// somebody else makes as much of as they like: it has a room of its own, so that
	// no decision leaves the log for it.
	maxTampering        = 1000
	maxTamperingWaiting = 5000
)

// logRooms are the numbers of the entries that the log has, each in ascending order.
type logRooms struct {
	decisions, tampering []uint64
}

// enter notes an entry, and returns those that must make room for it. An entry that
// still waits to be taken may stay for longer.
func (l *logRooms) enter(seq uint64, kind string, waits func(seq uint64) bool) (drop []uint64) {
	room, most, patience := &l.decisions, maxLog, maxWaiting
	if kind == audit.KindTampered {
		room, most, patience = &l.tampering, maxTampering, maxTamperingWaiting
	}
	*room = append(*room, seq)
	n := 0
	for len(*room)-n > most && (len(*room)-n > patience || !waits((*room)[n])) {
		n++
	}
	drop, *room = (*room)[:n:n], (*room)[n:]
	return drop
}

// event queues an entry of the log.
func (s *state) event(e record.Event) {
	e.Seq, e.When = s.nextSeq, s.now()
	s.nextSeq++
	s.queue.events = append(s.queue.events, e)
	waits := func(seq uint64) bool { return s.waits && seq > s.taken[takerJournal] }
	s.queue.drop = append(s.queue.drop, s.kept.enter(e.Seq, e.Kind, waits)...)
}
