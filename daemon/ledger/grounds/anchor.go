// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"encoding/json"
	"fmt"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// The problems that the anchor has.
const (
	ProblemAnchor  = "anchor"       // it cannot be used now
	ProblemOlder   = "anchor-older" // it knows of a later state
	ProblemUnbound = "anchor-other" // it is not the one that the index was bound to
)

// LoadAnchor reads the counter to which the index is bound, and what speaks against the index
// until that counter is read again.
func (s *Grounds) LoadAnchor(meta map[string][]byte) error {
	if data := meta[record.MetaAnchor]; data != nil {
		if err := json.Unmarshal(data, &s.Past.Anchor); err != nil {
			return fmt.Errorf("cannot read what the index is bound to: %w", err)
		}
	}
	if data := meta[record.MetaDoubt]; data != nil {
		var d record.Doubt
		if err := json.Unmarshal(data, &d); err != nil {
			return fmt.Errorf("cannot read why the index is in doubt: %w", err)
		}
		s.Past.Doubt = policy.Doubt(d.Kind)
		s.tellOfDoubt(d.Text)
	}
	return nil
}

// NoAnchor ends a doubt: the configuration asks for no anchor any more.
func (s *Grounds) NoAnchor() { s.inDoubt(policy.NoDoubt, policy.Epochs{}) }

// CounterFound compares the index with the anchor: e says what was found there.
func (s *Grounds) CounterFound(e policy.Epochs) policy.Standing {
	a := &s.Past.Anchor
	e.Bound, e.Index, e.Known = a.Name != "", a.Epoch, a.Name
	standing := e.Stand()
	s.Solved(ProblemAnchor)
	s.inDoubt(standing.Doubt(), e)
	return standing
}

// inDoubt makes decisions by whether the index may be older than what was decided.
func (s *Grounds) inDoubt(d policy.Doubt, e policy.Epochs) {
	was := s.Past.Doubt
	s.Past.Doubt = d
	if d != policy.OlderState {
		s.Solved(ProblemOlder)
	}
	if d != policy.OtherState {
		s.Solved(ProblemUnbound)
	}
	text := ""
	switch d {
	case policy.OlderState:
		text = fmt.Sprintf("the index is of epoch %d, and the TPM's counter stands at %d: the state directory is older than what was decided here; what is active stays, and nothing older than what is installed gets in", e.Index, e.Counter)
		if !e.Bound {
			text = fmt.Sprintf("the index knows nothing of the anchor, whose counter stands at %d: the index was lost, or is from before the anchor was enabled; what is active stays, and nothing older than what is installed gets in", e.Counter)
		}
	case policy.OtherState:
		text = "the TPM does not have the counter that the index was bound to: it was cleared, or the disk is in another machine; what is active stays, and nothing older than what is installed gets in"
	}
	s.tellOfDoubt(text)
	if d == was {
		return
	}
	s.Basis++
	s.Queue.Batch.PutDoubt(record.Doubt{Kind: string(d), Text: text})
	if d != policy.NoDoubt {
		s.Event(record.Event{Kind: audit.KindAnchorDoubt, Reason: string(d), Text: text})
	}
	s.Record()
	s.Plan.Show = true
}

// tellOfDoubt names the doubt to the administrator, if there is one.
func (s *Grounds) tellOfDoubt(text string) {
	switch s.Past.Doubt {
	case policy.OlderState:
		s.Problem(ProblemOlder, api.SeverityError, text,
			"put the latest state directory back, or find out who replaced it, set floors, denials and revocations again, then: digestctl anchor accept --reason WHY")
	case policy.OtherState:
		s.Problem(ProblemUnbound, api.SeverityError, text, "if that was meant: digestctl anchor rebind --reason WHY")
	}
}

// AnchorFailed reports, as a problem, why the anchor cannot be used.
func (s *Grounds) AnchorFailed(err error, advice string) {
	s.Problem(ProblemAnchor, api.SeverityWarning, "the anchor is not used: "+api.Clean(err.Error())+"; until it is, an older state directory is not noticed", advice)
	s.Plan.Show = true
}

// AnchorFine solves the problem of the anchor.
func (s *Grounds) AnchorFine() {
	s.Solved(ProblemAnchor)
	s.Plan.Show = true
}

// RaiseEpoch begins a new epoch if something was decided since the last one began. The
// counter, whose value is given, has to rise once that is durable. It reports whether
// there is one.
func (s *Grounds) RaiseEpoch(counter uint64) bool {
	a := s.Past.Anchor
	if a.Name == "" || s.Past.Doubt != policy.NoDoubt || a.Epoch != counter || !a.Due {
		return false
	}
	a.Epoch, a.Due = counter+1, false
	s.bind(a)
	return true
}

// bind replaces what the index is bound to.
func (s *Grounds) bind(a record.Anchor) {
	s.Past.Anchor, s.Past.Urgent = a, false
	s.Queue.Batch.PutAnchor(a)
	s.Plan.Show = true
}

// dropGrants takes back all grants of a state that may be older than their use.
func (s *Grounds) dropGrants() (n int) {
	for id, l := range s.Lines {
		if len(l.Grants) > 0 {
			n += len(l.Grants)
			l.Name, l.Arch, l.Grants = id.Name, id.Arch, nil
			s.SetLine(l)
		}
	}
	return n
}

// Bind binds the index to a counter, by its name in hexadecimal and its value; again if it
// was bound to another.
func (s *Grounds) Bind(again bool, name string, counter uint64, act record.Act) {
	kind := audit.KindAnchorEnabled
	if again {
		kind = audit.KindAnchorRebound
	}
	if again {
		s.dropGrants()
	}
	s.bind(record.Anchor{Name: name, Epoch: counter, Policy: s.Past.Anchor.Policy, Bound: s.Now()})
	s.inDoubt(policy.NoDoubt, policy.Epochs{})
	s.Solved(ProblemAnchor)
	s.Event(record.Event{Kind: kind, Reason: fmt.Sprint(counter), Text: act.Reason, UID: act.UID, PID: act.PID})
}

// Unbind ends the binding of the index to a counter.
func (s *Grounds) Unbind(act record.Act) {
	s.bind(record.Anchor{})
	s.inDoubt(policy.NoDoubt, policy.Epochs{})
	s.Solved(ProblemAnchor)
	s.Event(record.Event{Kind: audit.KindAnchorDisabled, Text: act.Reason, UID: act.UID, PID: act.PID})
}

// Accept goes on by an older state, as of the counter's name and value now. Grants go: they
// may have been used. It returns how many there were.
func (s *Grounds) Accept(name string, counter uint64, act record.Act) (grants int) {
	grants = s.dropGrants()
	a := s.Past.Anchor
	if a.Name != name {
		a = record.Anchor{Name: name, Policy: a.Policy, Bound: s.Now()}
	}
	// The state that is left may have been of the counter's epoch, or of the next one, for which the
	// counter did not rise yet. The epoch after that tells both from this one.
	a.Epoch, a.Due = counter+1, true
	s.bind(a)
	s.inDoubt(policy.NoDoubt, policy.Epochs{})
	s.Past.Urgent = true
	s.Event(record.Event{Kind: audit.KindAnchorAccepted, Reason: fmt.Sprint(counter), Text: act.Reason, UID: act.UID, PID: act.PID})
	return grants
}

// PolicyIs records the digest of the settings that decide.
func (s *Grounds) PolicyIs(digest string) {
	a := &s.Past.Anchor
	if a.Name == "" || a.Policy == digest {
		return
	}
	known := a.Policy != ""
	a.Policy = digest
	if known {
		s.Decided(false)
	}
	s.Queue.Batch.PutAnchor(*a)
}
