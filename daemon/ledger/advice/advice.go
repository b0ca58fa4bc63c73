// SPDX-License-Identifier: Apache-2.0

// Package advice is what advisories of repositories say of versions, and which of it binds
// a package.
//
// The word of a repository counts only for packages that a key signed which signs those of
// the same repository: the one that may come, or one that is installed under the same name.
package advice

import (
	"maps"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Table is what advisories say.
type Table struct {
	Origins        map[string]record.Origin         // by name
	Advised        map[string][]record.AdvisedFloor // by package name, shared with snapshots
	AdvisoriesBind bool                             // advisories keep versions out; else they are reported
	shared         bool                             // Origins and Advised are
}

// NewTable returns an empty table.
func NewTable() Table {
	return Table{Origins: map[string]record.Origin{}, Advised: map[string][]record.AdvisedFloor{}}
}

// Told is what the header of a package says. The zero Told is of a package whose header is
// not there.
type Told struct {
	Header bool   // it is there
	Key    string // fingerprint of the certificate that vouches for it, "" for none
	Module string // stream, "name:stream", or ""
}

// ToldBy is what the header of a candidate says.
func ToldBy(c *view.Candidate) Told {
	s := Told{Header: true, Module: c.Module}
	if c.Key != nil {
		s.Key = c.Key.Fingerprint
	}
	return s
}

// CompleteLine completes the line of pkg by what advisories say. signed reports whether one of keys
// signed what is installed under the same name.
func (t *Table) CompleteLine(line *policy.Line, pkg nevra.NEVRA, told Told, signed func(keys []string) bool) {
	floors := t.Advised[pkg.Name]
	if !t.AdvisoriesBind {
		return
	}
	for i := range floors {
		f := &floors[i]
		o := t.Origins[f.Origin]
		if f.Arch != "" && !policy.SameFamily(f.Arch, pkg.Arch) || nevra.Compare(pkg.EVR, f.EVR) >= 0 ||
			line.Advised != nil && nevra.Compare(f.EVR, line.Advised.EVR) <= 0 {
			continue
		}
		switch binds, later := binds(f, o, pkg, told, signed); {
		case binds:
			line.Advised = &policy.Advised{EVR: f.EVR, Text: Text(f, o)}
		case later:
			line.Undecided = true
		}
	}
}

// binds reports whether a floor is about pkg; later, that only its header tells.
func binds(f *record.AdvisedFloor, o record.Origin, pkg nevra.NEVRA, told Told, signed func(keys []string) bool) (binds, later bool) {
	modular := told.Module != "" || view.Modular(pkg)
	switch {
	case modular != (f.Stream != ""):
		return false, false
	case modular && !told.Header:
		return false, true
	case f.Stream != told.Module:
		return false, false
	case told.Key != "" && slices.Contains(o.Keys, told.Key), signed(o.Keys):
		return true, false
	}
	return false, !told.Header
}

// Text says why a floor is there, and how strong the word is.
func Text(f *record.AdvisedFloor, o record.Origin) string {
	text := f.Why
	if f.Severity != "" {
		text += " (" + f.Severity + ")"
	}
	return text + " fixes it, says repository " + strings.TrimPrefix(o.Name, record.OriginAdvisory) + ", " + o.Strength
}

// own makes the tables this event's own, to be changed.
func (t *Table) own() {
	if t.shared {
		t.Origins, t.Advised, t.shared = maps.Clone(t.Origins), maps.Clone(t.Advised), false
	}
}

// Share has the next change copy the tables first: somebody else has them now.
func (t *Table) Share() { t.shared = true }

// SetAdvised replaces the floors that one origin sets for one package, and records them.
func (t *Table) SetAdvised(b *record.Batch, origin, name string, floors []record.AdvisedFloor) {
	t.own()
	others := slices.DeleteFunc(slices.Clone(t.Advised[name]), func(f record.AdvisedFloor) bool { return f.Origin == origin })
	if others = append(others, floors...); len(others) == 0 {
		delete(t.Advised, name)
	} else {
		t.Advised[name] = others
	}
	b.PutAdvised(origin, name, floors)
}

// SetOrigin enters an origin, and records it.
func (t *Table) SetOrigin(b *record.Batch, o record.Origin) {
	t.own()
	t.Origins[o.Name] = o
	b.PutOrigin(o)
}

// DropOrigin forgets an origin and its floors, and returns the number of these floors.
func (t *Table) DropOrigin(b *record.Batch, name string) (floors int) {
	t.own()
	for pkg, all := range maps.Clone(t.Advised) {
		n := 0
		for _, f := range all {
			if f.Origin == name {
				n++
			}
		}
		if n > 0 {
			t.SetAdvised(b, name, pkg, nil)
		}
		floors += n
	}
	delete(t.Origins, name)
	b.DeleteOrigin(name)
	return floors
}

// View is what readers see.
func (t *Table) View() view.Advice {
	return view.Advice{Origins: t.Origins, Advised: t.Advised, Binds: t.AdvisoriesBind}
}
