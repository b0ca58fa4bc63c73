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
