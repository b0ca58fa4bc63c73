// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"strings"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Advice is what advisories say of versions.
type Advice struct {
	Origins map[string]record.Origin         // by name
	Advised map[string][]record.AdvisedFloor // by package name
	Binds   bool                             // advisories keep versions out; else they are reported
}

// Modular reports whether a package is of a module stream, by its release.
func Modular(pkg nevra.NEVRA) bool { return strings.Contains(pkg.Release, ".module") }

// About reports whether the word of an advisory is about an installed package, whatever its
// version: it is of the same architecture and module stream, and signed by a key that signs
// the packages of that origin.
func (a Advice) About(f *record.AdvisedFloor, e *Entry) bool {
	o := a.Origins[f.Origin]
	return (f.Arch == "" || policy.SameFamily(f.Arch, e.Package.Arch)) &&
		f.Stream == e.Module && (f.Stream != "") == Modular(e.Package) && e.Key != "" && slices.Contains(o.Keys, e.Key)
}

// Below returns the highest version by which an advisory mends what an installed package
// has, or nil.
func (a Advice) Below(e *Entry) (highest *record.AdvisedFloor) {
	if e.Own != "" || e.Grace != "" || e.State == record.Quarantined {
		return nil
	}
	floors := a.Advised[e.Package.Name]
	for i := range floors {
		f := &floors[i]
		if nevra.Compare(e.Package.EVR, f.EVR) < 0 && (highest == nil || nevra.Compare(f.EVR, highest.EVR) > 0) && a.About(f, e) {
			highest = f
		}
	}
	return highest
}
