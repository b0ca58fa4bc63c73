// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/advice"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// AnyArch is the line that holds the floor of a name, for every architecture of it.
func AnyArch(name string) view.LineID { return view.LineID{Name: name, Arch: ""} }

// LineFor is the line by which pkg is judged, in transaction t if there is one. rpm
// lets a package replace one of its name with another architecture, and so its line
// is seen beside those of the other architectures. An architecture of another
// family is a package of its own as long as it is installed: rpm then keeps both,
// each in its version.
func (s *State) LineFor(pkg nevra.NEVRA, t *Transaction) policy.Line {
	return s.lineTold(pkg, t, advice.Told{})
}

func (s *State) lineTold(pkg nevra.NEVRA, t *Transaction, told advice.Told) policy.Line {
	line := s.LineBeside(pkg, func(id view.LineID) bool { return s.stands(id, t) })
	if t == nil {
		line.Shown = nevra.EVR{} // it is installed already
	}
	if len(s.Advised[pkg.Name]) > 0 {
		s.CompleteLine(&line, pkg, told, func(keys []string) bool { return s.signedBy(pkg, keys) })
	}
	return line
}

// signedBy reports whether one of keys signed what is installed under the name of pkg for
// the same programs.
func (s *State) signedBy(pkg nevra.NEVRA, keys []string) bool {
	for arch := range s.Archs {
		for _, e := range s.ByLine[view.LineID{Name: pkg.Name, Arch: arch}] {
			if policy.SameFamily(arch, pkg.Arch) && e.Key != "" && slices.Contains(keys, e.Key) {
				return true
			}
		}
	}
	return false
}

// LineBeside is lineFor where beside says which other lines rpm keeps.
func (s *State) LineBeside(pkg nevra.NEVRA, beside func(view.LineID) bool) policy.Line {
	id := view.LineOf(pkg)
	line := s.floored(id)
	line.Denials = s.Denials.Of(pkg.Name)
	for arch := range s.Archs {
		other := view.LineID{Name: pkg.Name, Arch: arch}
		if other == id || arch == "" {
			continue
		}
		if _, known := s.Lines[other]; !known {
			continue
		}
		if policy.SameFamily(pkg.Arch, arch) || !beside(other) {
			line = line.Beside(s.floored(other))
		}
	}
	return line
}

// floored is a line with the floor of its name, unless it has one of its own, and with
// those of other origins.
func (s *State) floored(id view.LineID) policy.Line {
	line := s.PolicyLine(id)
	if line.Floor.IsZero() && s.Archs[""] {
		line.Floor = s.Lines[AnyArch(id.Name)].Floor
	}
	return s.Floors.Raise(line, id.Name, id.Arch)
}

// stands reports whether a package of that line is installed, and still will be
// when t has ended.
func (s *State) stands(id view.LineID, t *Transaction) bool {
	for _, e := range s.ByLine[id] {
		if e.Grace == "" && (t == nil || !t.erases(e.Package)) {
			return true
		}
	}
	return t != nil && t.brings(id)
}

func (t *Transaction) erases(pkg nevra.NEVRA) bool {
	for _, e := range t.Elements {
		if e.Type == policy.Removed && e.NEVRA == pkg {
			return true
		}
	}
	return false
}

// Brings returns the versions of which an element brings a build.
func (t *Transaction) Brings() map[nevra.NEVRA]bool {
	versions := make(map[nevra.NEVRA]bool, len(t.Elements))
	for _, e := range t.Elements {
		if e.Type == policy.Added {
			versions[e.NEVRA] = true
		}
	}
	return versions
}

func (t *Transaction) brings(id view.LineID) bool {
	for _, e := range t.Elements {
		if e.Type == policy.Added && view.LineOf(e.NEVRA) == id {
			return true
		}
	}
	return false
}

// LinesNamed returns the lines a package argument means: "name" those of every
// architecture, and the one that holds for architectures never seen; "name.arch"
// exactly one, known or not.
func (s *State) LinesNamed(text string) ([]view.LineID, error) {
	var ids []view.LineID
	for id := range s.Lines {
		switch {
		case id.Arch == "":
		case id.String() == text:
			return []view.LineID{id}, nil
		case id.Name == text:
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		return append(ids, AnyArch(text)), nil
	}
	if name, arch, ok := CutArch(text); ok && (policy.KnownArch(arch) || s.Archs[arch]) {
		id := view.LineID{Name: name, Arch: arch}
		if err := (nevra.NEVRA{Name: id.Name, EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: id.Arch}).Valid(); err == nil {
			return []view.LineID{id}, nil
		}
	}
	return nil, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no package %q is known here", text),
		Advice: "give name.arch for a package that was never installed"}
}

func CutArch(text string) (name, arch string, ok bool) {
	i := strings.LastIndexByte(text, '.')
	if i <= 0 || i == len(text)-1 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}
