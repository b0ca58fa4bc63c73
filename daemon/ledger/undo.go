// SPDX-License-Identifier: Apache-2.0

package ledger

// revert takes back an event whose intent is durable already, and queues what makes
// the index forget it: what it announced could not be done. The log keeps what it has.
func (s *Ledger) revert() {
	entries, retired := append([]oldEntry(nil), s.Undo.entries...), append([]oldRetirement(nil), s.Undo.retired...)
	lines, own := s.Lines, s.Own
	s.restoreTables()
	s.Queue, s.due = Records{}, s.due[:min(s.Undo.due, len(s.due))]
	for _, e := range entries {
		if now := s.ByName[e.name]; now != nil {
			s.Queue.Batch.PutList(now.List)
		} else {
			s.Queue.Batch.DeleteList(e.name)
		}
	}
	for _, r := range retired {
		if now, known := s.retired[r.body]; known {
			s.Queue.Batch.PutRetirement(now)
		} else {
			s.Queue.Batch.DeleteRetirement(r.body)
		}
	}
	for name := range own {
		if now, known := s.Own[name]; !known {
			s.Queue.Batch.DeleteOwn(name)
		} else if now.Version != own[name].Version || now.Changed != own[name].Changed {
			s.Queue.Batch.PutOwn(now)
		}
	}
	for id := range lines {
		if now, known := s.Lines[id]; !known || now.Counter != lines[id].Counter || now.High != lines[id].High {
			now.Name, now.Arch = id.Name, id.Arch
			s.Queue.Batch.PutLine(now)
		}
	}
	s.Record()
}
