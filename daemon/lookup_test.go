// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/digestd/digestd/store/record"
)

// TestLookup compares with looking into every list.
func TestLookup(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// Few values, so that lists share many, and some that differ only in the
	// bits that give way to the entry's place.
	value := func() uint64 { return random.Uint64N(50)<<40 | random.Uint64N(2) }
	for range 50 {
		var entries []*entry
		for i := range random.IntN(30) {
			e := &entry{List: record.List{Name: fmt.Sprintf("tlv-%03d", i)}}
			if random.IntN(5) > 0 {
				e.refs = &refs{wide: random.IntN(20) == 0}
				for range 1 + random.IntN(8) {
					e.refs.digests = append(e.refs.digests, value())
					e.refs.paths = append(e.refs.paths, value())
				}
				slices.Sort(e.refs.digests)
				slices.Sort(e.refs.paths)
			}
			entries = append(entries, e)
		}
		l := newLookup(entries)
		wide := slices.ContainsFunc(entries, func(e *entry) bool { return e.refs != nil && e.refs.wide })
		if l.hasWide() != wide {
			t.Fatalf("hasWide = %v, want %v", l.hasWide(), wide)
		}
		for range 200 {
			ref := value()
			for what, found := range map[string]struct {
				got []*entry
				has func(*refs) bool
			}{
				"digest": {slices.Collect(l.withDigest(ref)), func(r *refs) bool { return r.hasDigest(ref) }},
				"path":   {slices.Collect(l.withPath(ref)), func(r *refs) bool { return r.hasPath(ref) }},
			} {
				for i, e := range entries {
					if e.refs != nil && found.has(e.refs) && !slices.Contains(found.got, e) {
						t.Fatalf("%s %x is in list %d, not found", what, ref, i)
					}
				}
				if n := len(slices.Compact(slices.Clone(found.got))); n != len(found.got) {
					t.Fatalf("%s %x: a list twice in %d", what, ref, len(found.got))
				}
				for _, e := range found.got {
					if !slices.ContainsFunc(append(slices.Clone(e.refs.digests), e.refs.paths...), func(r uint64) bool { return keyOf(r) == keyOf(ref) }) {
						t.Fatalf("%s %x found in %s, which has nothing like it", what, ref, e.Name)
					}
				}
			}
		}
	}
}
