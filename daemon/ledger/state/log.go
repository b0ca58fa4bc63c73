// SPDX-License-Identifier: Apache-2.0

package state

import (
	"maps"

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

// The carriers of the log, by their names in the index.
const (
	TakerJournal = "journal"
	TakerKernel  = "kernel"
	// TrailNone is the setting audit-trail where nobody takes it.
	TrailNone = "none"
)

// metaProbe is never there: to remove it is a commit without a change.
const metaProbe = "probe"

// PutTaken adds to r up to where the log was taken, if the index does not know, and if r
// is not empty: nothing is committed for that alone.
func (s *State) PutTaken(r *Records) {
	if r.Batch.Empty() {
		return
	}
	r.taken = true
	for taker, seq := range s.Taken {
		if seq != s.TakenKept[taker] {
			r.Batch.SetTaken(taker, seq)
		}
	}
}

// TakenUpTo notes up to where the log was taken. If now is set that is recorded without
// waiting for another reason to commit.
func (s *State) TakenUpTo(taker string, seq uint64, now bool) {
	s.Taken[taker] = seq
	if now {
		s.RecordTaken()
	}
}

func (s *State) RecordTaken() {
	for taker, seq := range s.Taken {
		if seq != s.TakenKept[taker] {
			s.Queue.Batch.SetTaken(taker, seq)
		}
	}
	s.Record()
}

// Probe commits whether or not anything is queued, to see that it can be done.
func (s *State) Probe() error {
	s.Queue.Batch.SetMeta(metaProbe, nil)
	s.Record()
	return nil
}

// Committed takes note that r is durable.
func (s *State) Committed(r *Records) {
	s.Solved("state")
	if r.mark != nil {
		s.MetaMark.Durable = *r.mark
	}
	s.Due = append(s.Due, r.tell...)
	if r.taken {
		maps.Copy(s.TakenKept, s.Taken)
	}
}

// Written takes note that those who read the log find what is durable in it.
func (s *State) Written() {
	s.Unwritten = false
	s.Solved(problemIndex)
	if s.NextSeq > s.ToldSeq {
		s.ToldSeq = s.NextSeq
		s.Wake[WakeLog] = true
	}
}

// The workers that sleep until the state has something for them.
const (
	WakeChores = iota // what could not be done at once, see doChores
	WakeLabels        // labels are to be written
	WakeClock         // entries came that time may change
	WakeLists         // entries changed
	WakeLog           // the log has more
	WakeAnchor        // something is to be anchored
	WakeKinds
)
