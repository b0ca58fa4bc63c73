// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/digestd/digestd/store/record"

// metaOpen is set in the index while lists may appear that it does not know: a start
// after a crash must not take them for an intruder's.
const metaOpen = "open"

// openMark is where the mark metaOpen stands.
type openMark struct {
	queued  bool // as the queue leaves it
	durable bool // as the index has it
}

// setMark queues the mark, unless the index has it.
func (s *state) setMark() {
	if s.metaMark.queued && s.metaMark.durable {
		return
	}
	s.putMark(&s.queue, true)
}

// markIn makes the mark durable before the lists of p appear, unless the index has it.
func (s *state) markIn(p *plan) {
	if s.metaMark.durable {
		if !s.metaMark.queued {
			// The removal that is queued must not come before these lists.
			s.putMark(&s.queue, true)
		}
		return
	}
	if p.intent == nil {
		p.intent = &records{}
	}
	s.putMark(p.intent, true)
}

func (s *state) putMark(r *records, set bool) {
	s.metaMark.queued = set
	r.mark = &set
	if set {
		r.batch.SetMeta(metaOpen, []byte(s.boot))
	} else {
		r.batch.SetMeta(metaOpen, nil)
	}
}

// clearMark queues that the mark goes, if everything is recorded that may be in the
// directory. It stays for what is under way, and for what still has to be looked into.
func (s *state) clearMark() {
	if len(s.open) == 0 && !s.unsettled && (s.metaMark.queued || s.metaMark.durable) {
		s.putMark(&s.queue, false)
	}
}

// unsynced notes that these lists may not be on the disk. The next reconciliation has
// to write them anew, for the kernel does not try again what it failed to write. Until
// then the mark and their records say that a start may find anything in their place.
func (s *state) unsynced(names []string) {
	s.unsettled = true
	s.setMark()
	for _, name := range names {
		e := s.byName[name]
		if e == nil || !e.Active() || e.Change != "" {
			continue
		}
		again := *e
		again.Change = record.Publishing
		s.save(&again)
	}
}
