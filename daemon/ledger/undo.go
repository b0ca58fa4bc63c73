// SPDX-License-Identifier: Apache-2.0

package ledger

import "github.com/digestd/digestd/daemon/ledger/state"

// revert takes back an event whose intent is durable already, and queues what makes
// the index forget it: what it announced could not be done. The log keeps what it has.
func (s *Ledger) revert() {
	entries, retired := append([]state.OldEntry(nil), s.Undo.Entries...), append([]state.OldRetirement(nil), s.Undo.Retired...)
	lines, own := s.Lines, s.Own
	s.RestoreTables()
	s.Queue, s.Due = state.Records{}, s.Due[:min(s.Undo.Due, len(s.Due))]
	for _, e := range entries {
		if now := s.ByName[e.Name]; now != nil {
			s.Queue.Batch.PutList(now.List)
		} else {
			s.Queue.Batch.DeleteList(e.Name)
		}
	}
	for _, r := range retired {
		if now, known := s.Retired[r.Body]; known {
			s.Queue.Batch.PutRetirement(now)
		} else {
			s.Queue.Batch.DeleteRetirement(r.Body)
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
		if now, known := s.Lines[id]; !known {
			s.Queue.Batch.DeleteLine(id.Name, id.Arch)
		} else if now.Counter != lines[id].Counter || now.High != lines[id].High {
			now.Name, now.Arch = id.Name, id.Arch
			s.Queue.Batch.PutLine(now)
		}
	}
	s.Record()
}
