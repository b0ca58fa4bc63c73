// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/policy"
)

// Omission is what a list leaves out because it is denied.
type Omission struct {
	Paths [][]byte         // of these files
	By    []*policy.Denial // each once
	IDs   []string         // of these
}

func (o *Omission) Add(d *policy.Denial, path []byte) {
	o.Paths = append(o.Paths, slices.Clone(path))
	if !slices.Contains(o.IDs, d.ID) {
		o.By, o.IDs = append(o.By, d), append(o.IDs, d.ID)
	}
}

// Text says it for people.
func (o *Omission) Text(pkg string) string {
	s := fmt.Sprintf("%s: its list leaves out %s: ", pkg, Plural(len(o.Paths), "file"))
	if len(o.Paths) == 1 {
		s = fmt.Sprintf("%s: its list leaves out %s: ", pkg, o.Paths[0])
	}
	return s + o.By[0].Because()
}

// HitBy reports whether one of the digests may be among those that begin with
// heads, which are sorted.
func (r *Refs) HitBy(heads []uint64) bool {
	if r == nil || len(heads) == 0 {
		return false
	}
	few, many := r.Digests, heads
	if len(few) > len(many) {
		few, many = many, few
	}
	for _, head := range few {
		if _, found := slices.BinarySearch(many, head); found {
			return true
		}
	}
	return false
}
