// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"iter"
	"slices"
	"sync"
)

// lookup finds the lists that a digest or a path may be in. Snapshots with the
// same entries share one; it is built when first asked, for most are never.
type lookup struct {
	entries []*entry
	once    sync.Once
	// Each reference of each entry, sorted: its upper bits, with the entry's place
	// in the lower ones.
	digests []uint64
	paths   []uint64
	wide    bool // some list has digests other than SHA-256
}

// placeBits leave room for more packages than a database of rpm can hold.
const placeBits = 24

func (l *lookup) build() {
	files := 0
	for _, e := range l.entries {
		if e.refs != nil {
			files += len(e.refs.digests)
		}
	}
	l.digests, l.paths = make([]uint64, 0, files), make([]uint64, 0, files)
	for place, e := range l.entries {
		if e.refs == nil {
			continue
		}
		l.wide = l.wide || e.refs.wide
		for _, ref := range e.refs.digests {
			l.digests = append(l.digests, keyOf(ref)|uint64(place))
		}
		for _, ref := range e.refs.paths {
			l.paths = append(l.paths, keyOf(ref)|uint64(place))
		}
	}
	slices.Sort(l.digests)
	slices.Sort(l.paths)
}

func keyOf(ref uint64) uint64 { return ref &^ (1<<placeBits - 1) }

// withDigest yields the lists whose files may include that digest.
func (l *lookup) withDigest(ref uint64) iter.Seq[*entry] {
	l.once.Do(l.build)
	return l.with(l.digests, ref)
}

// withPath yields the lists whose files may include that path.
func (l *lookup) withPath(ref uint64) iter.Seq[*entry] {
	l.once.Do(l.build)
	return l.with(l.paths, ref)
}

// hasWide reports whether some list has digests other than SHA-256.
func (l *lookup) hasWide() bool {
	l.once.Do(l.build)
	return l.wide
}

func (l *lookup) with(sorted []uint64, ref uint64) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		key := keyOf(ref)
		i, _ := slices.BinarySearch(sorted, key)
		for last := -1; i < len(sorted) && keyOf(sorted[i]) == key; i++ {
			place := int(sorted[i] &^ key)
			if place == last {
				continue // a list may have one content under several paths
			}
			last = place
			if !yield(l.entries[place]) {
				return
			}
		}
	}
}
