// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// order is the numbers that lists have before their names, by which a kernel that
// prefetches reads them. It is immutable. A new version of a package has the number
// of the one before it: what is read between two lists stays between them. Where
// several versions stand side by side, a number is of one version alone.
type order struct {
	lists map[string]uint32 // by the list's name without a number
	lines map[lineID]uint32 // by package
	multi []string          // globs of multi-version package names
}

// name returns the name of a list with its number, if it has one.
func (o *order) name(list string, pkg nevra.NEVRA, multi bool) string {
	if o == nil {
		return list
	}
	seq, ok := o.lists[list]
	if !ok && !multi && !policy.IsMulti(o.multi, pkg.Name) {
		seq, ok = o.lines[lineOf(pkg)]
	}
	if !ok {
		return list
	}
	return digestlist.Sequenced(seq, list)
}

// listOfPath returns the active list that a path belongs to, a package's first.
func (s *snapshot) listOfPath(p string) (found *entry) {
	ref := pathRef([]byte(p))
	for e := range s.lookup.withPath(ref) {
		if e.active() && e.refs.hasPath(ref) && (found == nil || found.Own != "" && e.Own == "") {
			found = e
		}
	}
	return found
}
