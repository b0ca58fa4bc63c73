// SPDX-License-Identifier: Apache-2.0

package daemon

import "github.com/digestd/digestd/store"

// metaOpen is set in the index while lists may appear that it does not know: a start
// after a crash must not take them for an intruder's.
const metaOpen = "open"

// openMark is where the mark metaOpen stands.
type openMark struct {
	queued  bool // as the next commit leaves it
	durable bool // as the index has it
}

// setMark queues the mark for the next commit, unless the index has it.
func (s *state) setMark() {
	if s.metaMark.queued && s.metaMark.durable {
		return
	}
	s.metaMark.queued = true
	s.batch.SetMeta(metaOpen, []byte(s.boot))
}

// clearMark queues that the mark goes, if everything is recorded that may be in the
// directory. It stays for what is under way, and for what still has to be looked into.
func (s *state) clearMark() {
	if len(s.open) == 0 && !s.interrupted && !s.exchanging {
		s.metaMark.queued = false
		s.batch.SetMeta(metaOpen, nil)
	}
}

// needMark makes the mark durable. No list may appear before it is, or before the
// record of that very list.
func (s *state) needMark() error {
	if s.metaMark.queued && s.metaMark.durable {
		return nil
	}
	s.setMark()
	return s.commit()
}

// appear publishes a list that the index does not know yet.
func (s *state) appear(list store.Staged, name string, poke bool) error {
	if err := s.needMark(); err != nil {
		return err
	}
	return s.dir.Publish(list, name, poke)
}

// unsynced notes that these lists may not be on the disk. The next reconciliation has
// to write them anew, for the kernel does not try again what it failed to write. Until
// then the mark and their records say that a start may find anything in their place.
func (s *state) unsynced(names []string) {
	s.interrupted = true
	s.setMark()
	for _, name := range names {
		e := s.byName[name]
		if e == nil || !e.active() || e.Change != "" {
			continue
		}
		again := *e
		again.Change = store.Publishing
		s.put(&again)
		if !s.pending(e) {
			s.batch.PutList(again.List)
		}
	}
}

// syncLists makes lists and their directory durable, the faster way. After an error
// the next reconciliation makes them anew.
func (s *state) syncLists(names []string) (err error) {
	if len(names) > manyLists {
		err = s.dir.SyncAll()
	} else {
		err = s.dir.Sync(names...)
	}
	if err != nil {
		s.unsynced(names)
	}
	return err
}
