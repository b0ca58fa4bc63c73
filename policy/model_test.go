// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"

	"github.com/digestd/digestd/policy"
)

// The model knows versions as rungs of a ladder, so that nothing of it depends
// on how versions are compared. It keeps all that ever happened to a name and
// decides from that alone; it knows neither lines nor their fields.
type actKind int

const (
	activated actKind = iota
	withdrawn
	granted
	revoked
	floorSet
	floorCleared
	denied // all below that rung
	lifted
)

var actNames = [...]string{"activated", "withdrawn", "granted", "revoked", "floor set", "floor cleared", "denied below", "denial lifted"}

type act struct {
	kind actKind
	rung int
}

func (a act) String() string { return fmt.Sprintf("%s %d", actNames[a.kind], a.rung) }

type history struct {
	multi bool
	acts  []act
}

// floor is the rung of the last floor that still stands; 0 is below all.
func (h history) floor() int {
	for i := len(h.acts) - 1; i >= 0; i-- {
		switch h.acts[i].kind {
		case floorSet:
			return h.acts[i].rung
		case floorCleared:
			return 0
		}
	}
	return 0
}

// denied reports whether the last denial, if it was not lifted, is of rung.
func (h history) denied(rung int) bool {
	for i := len(h.acts) - 1; i >= 0; i-- {
		switch h.acts[i].kind {
		case denied:
			return rung < h.acts[i].rung
		case lifted:
			return false
		}
	}
	return false
}

// superseded reports whether what happened speaks against rung: that a higher
// one was active or, of several side by side, that it or a higher one is gone.
func (h history) superseded(rung int) bool {
	for _, a := range h.acts {
		if h.multi && a.kind == withdrawn && a.rung >= rung || !h.multi && a.kind == activated && a.rung > rung {
			return true
		}
	}
	return false
}

// active reports whether rung has a list.
func (h history) active(rung int) bool {
	for i := len(h.acts) - 1; i >= 0; i-- {
		if a := h.acts[i]; a.rung == rung && (a.kind == activated || a.kind == withdrawn) {
			return a.kind == activated
		}
	}
	return false
}

// permitted reports whether a grant for rung is still to be used: nothing that
// ends it came after it.
func (h history) permitted(rung int) bool {
	for i := len(h.acts) - 1; i >= 0; i-- {
		switch a := h.acts[i]; {
		case a.kind == granted && a.rung == rung:
			return true
		case a.kind == floorSet && a.rung > rung:
			return false
		case a.rung == rung && (a.kind == revoked || a.kind == activated):
			return false
		}
	}
	return false
}

// byGrant reports whether rung is active thanks to a grant: since it last came,
// an activation of it used one, and no floor was set above it after that.
func (h history) byGrant(rung int) bool {
	if !h.active(rung) {
		return false
	}
	for i := len(h.acts) - 1; i >= 0; i-- {
		switch a := h.acts[i]; {
		case a.kind == withdrawn && a.rung == rung, a.kind == floorSet && a.rung > rung:
			return false
		case a.kind == activated && a.rung == rung:
			if (history{h.multi, h.acts[:i]}).permitted(rung) {
				return true
			}
		}
	}
	return false
}

// judge is what Admit should say.
func (h history) judge(rung int) policy.Reason {
	switch {
	case h.denied(rung):
		return policy.ReasonDenied
	case h.active(rung) && (rung >= h.floor() || h.byGrant(rung)):
		return policy.ReasonActive
	case h.permitted(rung):
		return policy.ReasonGranted
	case rung < h.floor():
		return policy.ReasonRollbackFloor
	case h.superseded(rung) && h.multi:
		return policy.ReasonRollbackRetired
	case h.superseded(rung):
		return policy.ReasonRollback
	}
	return ""
}

// unlawful looks for what must never happen, without regard to how the
// decisions are made: a version that came although it was superseded or below
// the floor, and had no grant, newer than the floor, of its own and unused.
func (h history) unlawful(rungs int) error {
	for rung := 1; rung <= rungs; rung++ {
		ticket, here := false, false
		for i, a := range h.acts {
			past := history{h.multi, h.acts[:i]}
			switch {
			case a.kind == floorSet && a.rung > rung:
				ticket = false
			case a.rung != rung:
			case a.kind == granted:
				ticket = true
			case a.kind == revoked:
				ticket = false
			case a.kind == withdrawn:
				here = false
			case a.kind == activated && past.denied(rung):
				return fmt.Errorf("version %d came although it is denied", rung)
			case a.kind == activated:
				if !here && !ticket && (past.superseded(rung) || rung < past.floor()) {
					return fmt.Errorf("version %d came back without a grant", rung)
				}
				ticket, here = false, true
			}
		}
	}
	return nil
}
