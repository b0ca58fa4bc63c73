// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"maps"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Content is what a start finds in the state directory.
type Content struct {
	record.Content
	Counter uint64         // the highest that was given out
	Log     state.LogRooms // the entries that the log has
	Bodies  []OwnFile      // of own lists
	Rebuilt bool           // the index was lost
}

// Load fills s from the index, and from what lies beside it.
func (s *Ledger) Load(c Content) error {
	for _, l := range c.Lists {
		if l.Own != "" {
			l.Package = OwnPackage(l.Own, l.Version)
		}
		s.Put(&view.Entry{List: l})
	}
	for _, l := range c.Lines {
		s.Lines[view.LineID{Name: l.Name, Arch: l.Arch}] = l
		s.Archs[l.Arch] = true
	}
	s.Asides = c.Asides
	s.Retired = c.Retired
	for body, r := range s.Retired {
		if r.Own != "" {
			r.Package = OwnPackage(r.Own, r.Version)
			s.Retired[body] = r
		}
	}
	for _, k := range c.Keys {
		s.Keys[k.Fingerprint] = k
	}
	s.NextSeq = c.NextSeq
	s.Kept = c.Log
	s.ToldSeq = c.NextSeq
	maps.Copy(s.Taken, c.Taken)
	maps.Copy(s.TakenKept, c.Taken)
	s.Counter = c.Counter
	s.Unsettled = c.Meta[state.MetaOpen] != nil
	s.MetaMark = state.OpenMark{Queued: s.Unsettled, Durable: s.Unsettled}
	s.SignsFiles = c.Meta[MetaSigned] != nil
	for _, d := range c.Denials {
		s.Denied[d.ID] = d
	}
	s.Leftovers = c.Leftovers()
	for name := range s.Leftovers {
		if e := s.ByName[name]; e != nil && e.Active() {
			s.NotLeft(name)
		}
	}
	if s.TellOfLeftovers(); len(s.Leftovers) > 0 {
		s.Wake[state.WakeChores] = true
	}
	s.CompileDenials()
	if err := s.loadOrder(c.Meta); err != nil {
		return err
	}
	if len(s.Certificates) > 0 {
		s.AdoptCertificate(c.Meta[grounds.MetaCertificate], s.Certificates[0])
	}
	if err := s.loadLabels(c.Meta); err != nil {
		return err
	}
	return s.loadOwn(c.Own, c.Bodies, c.Rebuilt)
}

// Recovered notes what opening the index brought to light; rebuilt if it was lost.
func (s *Ledger) Recovered(text string, rebuilt bool) {
	s.Log.Error("index recovered", "text", text)
	if rebuilt {
		s.Problem(grounds.ProblemIndexLost, "error", text, "check the disk and who had access to the state directory; set floors again with digestctl floor set, denials with digestctl deny import; acknowledge with digestctl sync")
		s.Unsettled = true
	}
	s.Event(record.Event{Kind: audit.KindIndexRecovered, Reason: "index", Text: text})
	s.Record()
}
