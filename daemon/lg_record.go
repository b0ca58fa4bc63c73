// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
)

// metaProbe is never there: to remove it is a commit without a change.
const metaProbe = "probe"

// putTaken adds to r up to where the log was taken, if the index does not know, and if r
// is not empty: nothing is committed for that alone.
func (s *state) putTaken(r *records) {
	if r.batch.Empty() {
		return
	}
	r.taken = true
	for taker, seq := range s.taken {
		if seq != s.takenKept[taker] {
			r.batch.SetTaken(taker, seq)
		}
	}
}

// takenUpTo notes up to where the log was taken. If now is set that is recorded without
// waiting for another reason to commit.
func (s *state) takenUpTo(taker string, seq uint64, now bool) {
	s.taken[taker] = seq
	if now {
		s.recordTaken()
	}
}

func (s *state) recordTaken() {
	for taker, seq := range s.taken {
		if seq != s.takenKept[taker] {
			s.queue.batch.SetTaken(taker, seq)
		}
	}
	s.record()
}

// probe commits whether or not anything is queued, to see that it can be done.
func (s *state) probe() error {
	s.queue.batch.SetMeta(metaProbe, nil)
	s.record()
	return nil
}

// committed takes note that r is durable.
func (s *state) committed(r *records) {
	s.solved("state")
	if r.mark != nil {
		s.metaMark.durable = *r.mark
	}
	s.due = append(s.due, r.tell...)
	if r.taken {
		maps.Copy(s.takenKept, s.taken)
	}
}

// written takes note that those who read the log find what is durable in it.
func (s *state) written() {
	s.unwritten = false
	s.solved("index")
	if s.nextSeq > s.toldSeq {
		s.toldSeq = s.nextSeq
		s.wake[wakeLog] = true
	}
}

// What sleeps until the state has something for it.
const (
	wakeChores = iota // what could not be done at once, see doChores
	wakeLabels        // labels are to be written
	wakeClock         // entries came that time may change
	wakeLists         // entries changed
	wakeLog           // the log has more
	wakeKinds
)

// notes are what goes to the log of the service, which is not the log of decisions.
type notes struct{ all []note }

// level is how grave a note is.
type level int

// The levels, as package slog numbers them.
const (
	levelInfo  level = 0
	levelWarn  level = 4
	levelError level = 8
)

type note struct {
	level level
	text  string
	args  []any
}

func (n *notes) Info(text string, args ...any) {
	n.all = append(n.all, note{levelInfo, text, args})
}
func (n *notes) Warn(text string, args ...any) {
	n.all = append(n.all, note{levelWarn, text, args})
}
func (n *notes) Error(text string, args ...any) {
	n.all = append(n.all, note{levelError, text, args})
}

func (n *notes) take() (all []note) {
	all, n.all = n.all, nil
	return all
}
