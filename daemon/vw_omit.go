// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/policy"
)

// omission is what a list leaves out because it is denied.
type omission struct {
	paths [][]byte         // of these files
	by    []*policy.Denial // each once
	ids   []string         // of these
}

func (o *omission) add(d *policy.Denial, path []byte) {
	o.paths = append(o.paths, slices.Clone(path))
	if !slices.Contains(o.ids, d.ID) {
		o.by, o.ids = append(o.by, d), append(o.ids, d.ID)
	}
}

// text says it for people.
func (o *omission) text(pkg string) string {
	s := fmt.Sprintf("%s: its list leaves out %s: ", pkg, plural(len(o.paths), "file"))
	if len(o.paths) == 1 {
		s = fmt.Sprintf("%s: its list leaves out %s: ", pkg, o.paths[0])
	}
	return s + o.by[0].Because()
}

// hitBy reports whether one of the digests may be among those that begin with
// heads, which are sorted.
func (r *refs) hitBy(heads []uint64) bool {
	if r == nil || len(heads) == 0 {
		return false
	}
	few, many := r.digests, heads
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
