// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"maps"
	"slices"

	"github.com/digestd/digestd/store"
)

// decide lets change alter the state and makes that durable. After an error nothing
// has happened: neither memory nor what later commits carry has a trace of it, so
// the act can be repeated, and no later commit brings it into effect.
func (s *state) decide(change func() error) error {
	undo := s.undoPoint()
	err := change()
	if err == nil {
		err = s.write()
	}
	if err != nil {
		undo()
	}
	s.publish()
	return err
}

// undoPoint returns what takes the state back to now. It covers what acts change in
// memory and in the batch; what they did to files is the caller's. Counters,
// generation and problems stay: the first two never fall, and problems tell of now.
func (s *state) undoPoint() (undo func()) {
	entries, retired, leftovers := maps.Clone(s.byName), maps.Clone(s.retired), maps.Clone(s.leftovers)
	undoRecords := s.undoRecords()
	return func() {
		for name := range maps.Clone(s.byName) {
			if entries[name] == nil {
				s.forget(name)
			}
		}
		for name, e := range entries {
			if s.byName[name] != e {
				s.put(e)
			}
		}
		s.retired, s.leftovers = retired, leftovers
		undoRecords()
	}
}

// undoRecords is undoPoint for what changes neither entries nor retired bodies, which
// takes no time that a package manager would notice.
func (s *state) undoRecords() (undo func()) {
	s.linesOwned, s.keysOwned = false, false // the next change copies them
	batch, tell := s.batch.Clone(), slices.Clone(s.tell)
	lines, keys, asides := s.lines, s.keys, s.asides
	denied, others, denials := s.denied, s.others, s.denials
	own, importers, order, prefetch := s.own, s.importers, s.order, s.prefetch
	blacklist, banned := s.blacklist, s.banned
	nextSeq, kept := s.nextSeq, s.kept
	queued, interrupted, exchanging, anew, signsFiles := s.metaMark.queued, s.interrupted, s.exchanging, s.anew, s.signsFiles
	return func() {
		s.batch, s.tell = batch, tell
		s.lines, s.keys, s.linesOwned, s.keysOwned, s.asides = lines, keys, false, false, asides
		s.denied, s.others, s.denials = denied, others, denials
		s.own, s.importers, s.order, s.prefetch = own, importers, order, prefetch
		s.blacklist, s.banned = blacklist, banned
		s.nextSeq, s.kept = nextSeq, kept
		s.metaMark.queued, s.interrupted, s.exchanging, s.anew, s.signsFiles = queued, interrupted, exchanging, anew, signsFiles
	}
}

// revertOwn goes back to an undo point whose changes of an own list were committed
// meanwhile, and queues what makes the index forget them: what they announced could
// not be done. The log keeps what it has. Of the signals only the first, as many as due
// says, are told.
func (s *state) revertOwn(undo func(), due int, name, list string, line lineID, retired ...store.Digest) {
	nextSeq, kept := s.nextSeq, s.kept
	undo()
	s.nextSeq, s.kept = nextSeq, kept
	s.batch, s.tell, s.due = store.Batch{}, nil, s.due[:min(due, len(s.due))]
	if o, known := s.own[name]; known {
		s.batch.PutOwn(o)
	} else {
		s.batch.DeleteOwn(name)
	}
	if e := s.byName[list]; e != nil {
		s.batch.PutList(e.List)
	} else {
		s.batch.DeleteList(list)
	}
	l := s.lines[line]
	l.Name, l.Arch = line.name, line.arch
	s.batch.PutLine(l)
	for _, body := range retired {
		if r, known := s.retired[body]; known {
			s.batch.PutRetirement(r)
		} else {
			s.batch.DeleteRetirement(body)
		}
	}
}
