// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger/deployed"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/policies"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/store/record"
)

// Ledger takes in events; see the package comment.
type Ledger struct{ *grounds.Grounds }

// New returns an empty ledger as of now. Load fills it.
func New(s state.Settings, now time.Time) *Ledger {
	return &Ledger{&grounds.Grounds{State: state.NewState(s, now)}}
}

// ErrAgain means that keys, denials or settings changed since something was made.
var ErrAgain = errors.New("keys, denials or settings changed while the list was being built")

// maxReason bounds what an administrator may give as a reason.
const maxReason = 1024

func Act(s *Ledger, by api.Actor, reason string) (record.Act, error) {
	if len(reason) > maxReason {
		return record.Act{}, api.Errorf(api.InvalidArgument, "reason is longer than %d bytes", maxReason)
	}
	return record.Act{UID: by.UID, PID: by.PID, Reason: reason, When: s.Now()}, nil
}

// GrantedBelow reports whether a grant lets a version below evr be active, or did. A
// floor that is set again is newer than that.
func (s *Ledger) GrantedBelow(id view.LineID, evr nevra.EVR) bool {
	return slices.ContainsFunc(s.Lines[id].Grants, func(g record.Grant) bool { return nevra.Compare(g.EVR, evr) < 0 }) ||
		slices.ContainsFunc(s.ByLine[id], func(e *view.Entry) bool { return e.Granted && nevra.Compare(e.Package.EVR, evr) < 0 })
}

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

// MetaSigned is set in the index while files may bear signatures of ours.
const MetaSigned = "ima-signatures"

// Content is the content of the state directory at a start.
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
	for _, o := range c.Origins {
		s.Origins[o.Name] = o
	}
	for _, f := range c.Advised {
		s.Advised[f.Name] = append(s.Advised[f.Name], f)
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
	chain, err := record.ReadChain(c.Meta[record.MetaChain], c.NextSeq)
	if err != nil {
		return err
	}
	s.Chain = chain
	c.NextSeq = max(c.NextSeq, chain.Decisions.Seq+1, chain.Tampering.Seq+1)
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
	all, err := c.Policies()
	if err != nil {
		return err
	}
	policies.Load(s.Grounds, all)
	s.CompileDenials()
	if err := errors.Join(s.loadOrder(c.Meta), s.LoadAnchor(c.Meta)); err != nil {
		return err
	}
	if s.Past.Deployed, err = c.Deployment(); err != nil {
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

// Booted takes note of what the machine is running, where there are several systems.
func (s *Ledger) Booted(d record.Deployment) { deployed.Booted(s.State, d) }

// Recovered reports what the opening of the index found; rebuilt is set if the index was
// lost.
func (s *Ledger) Recovered(text string, rebuilt bool) {
	s.Log.Error("index recovered", "text", text)
	if rebuilt {
		s.Problem(grounds.ProblemIndexLost, "error", text, "check the disk and who had access to the state directory; set floors again: digestctl floor set; restore denials: digestctl deny import; then acknowledge: digestctl sync")
		s.Unsettled = true
	}
	s.Event(record.Event{Kind: audit.KindIndexRecovered, Reason: "index", Text: text})
	s.Record()
}
