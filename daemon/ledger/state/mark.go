// SPDX-License-Identifier: Apache-2.0

package state

import "github.com/digestd/digestd/store/record"

// MetaOpen is set in the index while lists may appear that it does not know: a start
// after a crash must not take them for an intruder's.
const MetaOpen = "open"

// OpenMark is where the mark metaOpen stands.
type OpenMark struct {
	Queued  bool // as the queue leaves it
	Durable bool // as the index has it
}

// SetMark queues the mark, unless the index has it.
func (s *State) SetMark() {
	if s.MetaMark.Queued && s.MetaMark.Durable {
		return
	}
	s.PutMark(&s.Queue, true)
}

// markIn makes the mark durable before the lists of p appear, unless the index has it.
func (s *State) markIn(p *Plan) {
	if s.MetaMark.Durable {
		if !s.MetaMark.Queued {
			// The removal that is queued must not come before these lists.
			s.PutMark(&s.Queue, true)
		}
		return
	}
	if p.Intent == nil {
		p.Intent = &Records{}
	}
	s.PutMark(p.Intent, true)
}

func (s *State) PutMark(r *Records, set bool) {
	s.MetaMark.Queued = set
	r.mark = &set
	if set {
		r.Batch.SetMeta(MetaOpen, []byte(s.Boot))
	} else {
		r.Batch.SetMeta(MetaOpen, nil)
	}
}

// Unsynced notes that these lists may not be on the disk. The next reconciliation has
// to write them anew, for the kernel does not try again what it failed to write. Until
// then the mark and their records say that a start may find anything in their place.
func (s *State) Unsynced(names []string) {
	s.Unsettled = true
	s.SetMark()
	for _, name := range names {
		e := s.ByName[name]
		if e == nil || !e.Active() || e.Change != "" {
			continue
		}
		again := *e
		again.Change = record.Publishing
		s.Save(&again)
	}
}
