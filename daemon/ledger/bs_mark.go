// SPDX-License-Identifier: Apache-2.0

package ledger

import "github.com/digestd/digestd/store/record"

// MetaOpen is set in the index while lists may appear that it does not know: a start
// after a crash must not take them for an intruder's.
const MetaOpen = "open"

// openMark is where the mark metaOpen stands.
type openMark struct {
	queued  bool // as the queue leaves it
	Durable bool // as the index has it
}

// setMark queues the mark, unless the index has it.
func (s *State) setMark() {
	if s.MetaMark.queued && s.MetaMark.Durable {
		return
	}
	s.putMark(&s.Queue, true)
}

// markIn makes the mark durable before the lists of p appear, unless the index has it.
func (s *State) markIn(p *Plan) {
	if s.MetaMark.Durable {
		if !s.MetaMark.queued {
			// The removal that is queued must not come before these lists.
			s.putMark(&s.Queue, true)
		}
		return
	}
	if p.Intent == nil {
		p.Intent = &Records{}
	}
	s.putMark(p.Intent, true)
}

func (s *State) putMark(r *Records, set bool) {
	s.MetaMark.queued = set
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
	s.setMark()
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
