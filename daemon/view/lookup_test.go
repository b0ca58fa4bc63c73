// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// TestLookup compares with looking into every list.
func TestLookup(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	// Few values, so that lists share many, and some that differ only in the
	// bits that give way to the entry's place.
	value := func() uint64 { return random.Uint64N(50)<<40 | random.Uint64N(2) }
	for range 50 {
		var entries []*view.Entry
		for i := range random.IntN(30) {
			e := &view.Entry{List: record.List{Name: fmt.Sprintf("tlv-%03d", i)}}
			if random.IntN(5) > 0 {
				e.Refs = &view.Refs{Wide: random.IntN(20) == 0}
				for range 1 + random.IntN(8) {
					e.Refs.Digests = append(e.Refs.Digests, value())
					e.Refs.Paths = append(e.Refs.Paths, value())
				}
				slices.Sort(e.Refs.Digests)
				slices.Sort(e.Refs.Paths)
			}
			entries = append(entries, e)
		}
		l := &view.Lookup{Entries: entries}
		wide := slices.ContainsFunc(entries, func(e *view.Entry) bool { return e.Refs != nil && e.Refs.Wide })
		if l.HasWide() != wide {
			t.Fatalf("HasWide = %v, want %v", l.HasWide(), wide)
		}
		for range 200 {
			ref := value()
			for what, found := range map[string]struct {
				got []*view.Entry
				has func(*view.Refs) bool
			}{
				"digest": {slices.Collect(l.WithDigest(ref)), func(r *view.Refs) bool { return r.HasDigest(ref) }},
				"path":   {slices.Collect(l.WithPath(ref)), func(r *view.Refs) bool { return r.HasPath(ref) }},
			} {
				for i, e := range entries {
					if e.Refs != nil && found.has(e.Refs) && !slices.Contains(found.got, e) {
						t.Fatalf("%s %x is in list %d, not found", what, ref, i)
					}
				}
				if n := len(slices.Compact(slices.Clone(found.got))); n != len(found.got) {
					t.Fatalf("%s %x: a list twice in %d", what, ref, len(found.got))
				}
				for _, e := range found.got {
					if !slices.ContainsFunc(append(slices.Clone(e.Refs.Digests), e.Refs.Paths...), func(r uint64) bool { return view.KeyOf(r) == view.KeyOf(ref) }) {
						t.Fatalf("%s %x found in %s, which has nothing like it", what, ref, e.Name)
					}
				}
			}
		}
	}
}
