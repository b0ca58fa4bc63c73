// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"

	"github.com/digestd/digestd/store"
)

// metaProbe is never there: to remove it is a commit without a change.
const metaProbe = "probe"

// unit names the unit of a process; a transaction asks about the same one for
// each of its packages.
func (s *state) unit(pid uint32) string {
	if s.unitOf == nil {
		return ""
	}
	unit, known := s.units[pid]
	if !known {
		unit = s.unitOf(pid)
		if s.units == nil {
			s.units = map[uint32]string{}
		}
		s.units[pid] = unit
	}
	return unit
}

// commit makes everything queued durable and lets readers see it. After an error
// what is queued stays queued, for the next commit to carry: that is right for facts.
// An act of somebody goes through decide.
func (s *state) commit() error {
	defer s.publish()
	return s.write()
}

// write makes everything queued durable.
func (s *state) write() error {
	clear(s.units)
	if !s.batch.Empty() {
		s.putTaken()
	}
	if err := s.index.Commit(&s.batch); err != nil {
		s.indexFailed(err)
		return err
	}
	s.tellOfRestored()
	s.solved("state")
	s.batch = store.Batch{}
	s.metaMark.durable = s.metaMark.queued
	s.due, s.tell = append(s.due, s.tell...), nil
	maps.Copy(s.takenKept, s.taken)
	if err := s.index.Behind(); err != nil {
		s.indexFailed(err) // it is durable, but not for those who read the log
		return nil
	}
	s.unwritten = false
	s.solved("index")
	if s.nextSeq > s.toldSeq {
		s.toldSeq = s.nextSeq
		for _, wake := range s.wakes {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

// probe commits whether or not anything is queued, to see that it can be done.
func (s *state) probe() error {
	s.batch.SetMeta(metaProbe, nil)
	return s.commit()
}

// putTaken queues up to where the log was taken, if the index does not know.
func (s *state) putTaken() {
	for taker, seq := range s.taken {
		if seq != s.takenKept[taker] {
			s.batch.SetTaken(taker, seq)
		}
	}
}

// commitTaken records up to where the log was taken without waiting for another
// reason to commit.
func (s *state) commitTaken() error {
	s.putTaken()
	return s.commit()
}
