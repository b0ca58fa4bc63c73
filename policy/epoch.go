// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"

	"github.com/digestd/digestd/digestlist/nevra"
)

// Doubt is why an index may be older than what was decided on this machine.
type Doubt string

// The doubts. Each names the way out.
const (
	NoDoubt    Doubt = ""
	OlderState Doubt = "older"   // the anchor counted what the index does not know
	OtherState Doubt = "unbound" // the anchor is not the counter that the index was bound to
)

// Epochs are what an index and its anchor say of how often something was decided that must
// not be undone.
type Epochs struct {
	Bound bool   // the index knows an anchor
	Index uint64 // the index's epoch
	Known string // the name of the counter that it was bound to

	Found    bool   // the TPM has a counter where the anchor should be
	Name     string // of that
	Expected string // the name that the anchor's file outside of the index has
	Counter  uint64 // its value
}

// Standing is how an index and its anchor stand to each other.
type Standing uint8

// The standings.
const (
	Anchored    Standing = iota // both are in the same epoch
	ToIncrement                 // the index rose, and the counter did not yet
	Older                       // the counter rose without this index
	Unbound                     // the counter was cleared, or it is another one
)

// Stand compares an index with its anchor. An epoch becomes durable in the index before the
// counter rises, so a crash leaves the index at most one ahead, and never behind.
func (e Epochs) Stand() Standing {
	switch {
	case !e.Found:
		return Unbound
	case e.Name == e.Expected && (!e.Bound || e.Known != e.Name):
		return Older // from before it was bound to this counter
	case e.Name != e.Known:
		return Unbound
	case e.Counter == e.Index:
		return Anchored
	case e.Counter+1 == e.Index:
		return ToIncrement
	case e.Counter > e.Index:
		return Older
	}
	return Unbound
}

// Doubt is what a standing means for decisions.
func (s Standing) Doubt() Doubt {
	return [...]Doubt{Anchored: NoDoubt, ToIncrement: NoDoubt, Older: OlderState, Unbound: OtherState}[s]
}

// doubted refuses a version that is older than what rpm's database shows, while nobody knows
// whether the line knows all that was decided.
func doubted(m Mode, l Line, pkg nevra.NEVRA) (Decision, bool) {
	if l.Doubt == NoDoubt || l.Shown.IsZero() || nevra.Compare(pkg.EVR, l.Shown) >= 0 {
		return Decision{}, false
	}
	d := Decision{Verdict: rollback(m), Reason: ReasonOlderState}
	d.Text = fmt.Sprintf("%s is older than %s, which is installed, and the TPM knows of a later state than the index; to go on by this index: digestctl anchor accept --reason WHY",
		pkg, short(l.Shown))
	if l.Doubt == OtherState {
		d.Text = fmt.Sprintf("%s is older than %s, which is installed, and the TPM does not have the counter that the index was bound to; to bind it again: digestctl anchor rebind --reason WHY",
			pkg, short(l.Shown))
	}
	return d, true
}

// rollback is what becomes of a rollback.
func rollback(m Mode) Verdict {
	return [...]Verdict{Enforce: Veto, Withhold: WithholdList, Audit: Allow}[m]
}
