// SPDX-License-Identifier: Apache-2.0

package policy

import "github.com/digestd/digestd/digestlist/nevra"

// ElementType is the direction of a transaction element.
type ElementType uint8

const (
	Other   ElementType = iota // neither: rpm's rpmdb and restored elements
	Added                      // a package to be installed
	Removed                    // a package to be erased
)

// Element is one package of a transaction.
type Element struct {
	Type  ElementType
	NEVRA nevra.NEVRA
}

// ElementDecision is the decision about one element.
type ElementDecision struct {
	Element
	Decision
}

// AdmitTransaction decides about every element that a transaction would add, in
// its order; lookup gives the line of each. One Veto among the decisions vetoes
// the whole. What is removed needs no permission.
func AdmitTransaction(m Mode, elements []Element, lookup func(pkg nevra.NEVRA) Line) []ElementDecision {
	var decisions []ElementDecision
	for _, e := range elements {
		if e.Type == Added {
			decisions = append(decisions, ElementDecision{e, Admit(m, lookup(e.NEVRA), e.NEVRA)})
		}
	}
	return decisions
}

// Assured reports whether no package of a transaction that AdmitTransaction let
// through can still get a Veto for what only its header tells: the key that
// signed it, or that several of its versions may be installed. revoked says
// whether there is a key that was revoked.
func Assured(m Mode, elements []Element, revoked bool, lookup func(pkg nevra.NEVRA) Line) bool {
	if m != Enforce {
		return true
	}
	if revoked {
		return false
	}
	for _, e := range elements {
		if e.Type != Added {
			continue
		}
		line := lookup(e.NEVRA)
		line.Multi = true
		if Admit(m, line, e.NEVRA).Verdict == Veto {
			return false
		}
	}
	return true
}

// Keep is decision d as it can be in a transaction that was assured: what was
// refused since then has no list.
func (d Decision) Keep() Decision {
	if d.Verdict == Veto {
		d.Verdict = WithholdList
	}
	return d
}
