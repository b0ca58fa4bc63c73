// SPDX-License-Identifier: Apache-2.0

package view

import (
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// Order is the numbers that lists have before their names, by which a kernel that prefetches
// reads them. It is immutable. A new version of a package has the number of the one before it:
// what is read between two lists stays between them. If several versions are installed side by
// side, a number belongs to one version.
type Order struct {
	Lists map[string]uint32 // by the list's name without a number
	Lines map[LineID]uint32 // by package
	Multi []string          // globs of multi-version package names
}

// NameOf returns the name of a list with its number, if it has one.
func (o *Order) NameOf(list string, pkg nevra.NEVRA, multi bool) string {
	if o == nil {
		return list
	}
	seq, ok := o.Lists[list]
	if !ok && !multi && !policy.IsMulti(o.Multi, pkg.Name) {
		seq, ok = o.Lines[LineOf(pkg)]
	}
	if !ok {
		return list
	}
	return digestlist.Sequenced(seq, list)
}

// ListOfPath returns the active list that a path belongs to, a package's first.
func (s *Snapshot) ListOfPath(p string) (found *Entry) {
	ref := PathRef([]byte(p))
	for e := range s.Lookup.WithPath(ref) {
		if e.Active() && e.Refs.HasPath(ref) && (found == nil || found.Own != "" && e.Own == "") {
			found = e
		}
	}
	return found
}
