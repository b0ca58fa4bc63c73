// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"

	"github.com/digestd/digestd/digestlist/nevra"
)

// Doubt is the reason why an index may lack decisions that were made on this machine.
type Doubt string

// The doubts. The text of each names the remedy.
const (
	NoDoubt    Doubt = ""
	OlderState Doubt = "older"   // the anchor counted decisions that the index lacks
	OtherState Doubt = "unbound" // the anchor is not the counter to which the index was bound
)

// Epochs has the epochs of an index and its anchor: how often a decision was made that must not
// be undone.
type Epochs struct {
	Bound bool   // the index is bound to an anchor
	Index uint64 // epoch of the index
	Known string // name of the counter to which it was bound

	Found    bool   // the TPM has a counter at the anchor's place
	Name     string // name of that counter
	Expected string // name in the anchor's file outside of the index
	Counter  uint64 // value of the counter
}

// Standing is the relation between an index and its anchor.
type Standing uint8

// The standings.
const (
	Anchored    Standing = iota // both are in the same epoch
	ToIncrement                 // the index rose, and the counter did not yet
	Older                       // the counter rose without this index
	Unbound                     // the counter was cleared, or is another one
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

// Doubt returns the doubt that follows from a standing.
func (s Standing) Doubt() Doubt {
	return [...]Doubt{Anchored: NoDoubt, ToIncrement: NoDoubt, Older: OlderState, Unbound: OtherState}[s]
}

// doubted refuses a version older than the one in rpm's database while the line may be
// incomplete.
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

// rollback returns the verdict about a rollback.
func rollback(m Mode) Verdict {
	return [...]Verdict{Enforce: Veto, Withhold: WithholdList, Audit: Allow}[m]
}
