// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist/nevra"
)

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

// KeyName is the package name under which rpm keeps each trusted key. rpm imports and removes
// keys without package files.
const KeyName = "gpg-pubkey"

// keysLost returns a trusted key that a transaction would erase by adding a package. An update
// to a package of that name erases all keys, and so does a package that obsoletes the name. ok
// is false if no key is lost.
func keysLost(elements []Element) (key nevra.NEVRA, ok bool) {
	i := slices.IndexFunc(elements, func(e Element) bool { return e.Type == Removed && e.NEVRA.Name == KeyName })
	if i < 0 {
		return key, false
	}
	return elements[i].NEVRA, true
}

// AdmitTransaction decides about each package that a transaction would add, in the order of its
// elements; lookup returns the line of each. One Veto among the decisions vetoes the whole
// transaction. A removal needs no permission, except the removal of rpm's trusted keys: in no
// mode may a package remove them, and with them the lists of all packages that they signed.
func AdmitTransaction(m Mode, elements []Element, lookup func(pkg nevra.NEVRA) Line) []ElementDecision {
	var decisions []ElementDecision
	key, lost := keysLost(elements)
	for _, e := range elements {
		if e.Type != Added {
			continue
		}
		d := Decision{Verdict: Veto, Reason: ReasonKeyName}
		switch {
		case e.NEVRA.Name == KeyName:
			d.Text = fmt.Sprintf("%s has the name under which rpm keeps the keys that it trusts; to import a key: rpmkeys --import FILE", e.NEVRA)
		case lost && len(decisions) == 0: // once: all such packages have the same effect
			d.Text = fmt.Sprintf("%s would be erased, a key that rpm trusts, in the transaction that installs %s; to remove a key, erase its package alone", key, e.NEVRA)
		default:
			d = Admit(m, lookup(e.NEVRA), e.NEVRA)
		}
		decisions = append(decisions, ElementDecision{e, d})
	}
	return decisions
}

// Assured reports whether no package of a transaction that AdmitTransaction permitted can get a
// Veto for a fact in its header: the key that signed it, or that several of its versions may be
// installed. revoked means that a key is revoked.
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
		if line.Undecided || Admit(m, line, e.NEVRA).Verdict == Veto {
			return false
		}
	}
	return true
}

// Keep adapts decision d to a transaction that was assured: a package that would be refused now
// gets no list instead.
func (d Decision) Keep() Decision {
	if d.Verdict == Veto {
		d.Verdict = WithholdList
	}
	return d
}
