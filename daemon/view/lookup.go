// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
)

// Lookup finds the lists that a digest or a path may be in. Snapshots with the
// same entries share one; it is built when first asked, for most are never.
type Lookup struct {
	Entries []*Entry
	once    sync.Once
	// Each reference of each entry, sorted: its upper bits, with the entry's place
	// in the lower ones.
	digests []uint64
	paths   []uint64
	wide    bool // some list has digests other than SHA-256
}

// placeBits leave room for more packages than a database of rpm can hold.
const placeBits = 24

func (l *Lookup) build() {
	files := 0
	for _, e := range l.Entries {
		if e.Refs != nil {
			files += len(e.Refs.Digests)
		}
	}
	l.digests, l.paths = make([]uint64, 0, files), make([]uint64, 0, files)
	for place, e := range l.Entries {
		if e.Refs == nil {
			continue
		}
		l.wide = l.wide || e.Refs.Wide
		for _, ref := range e.Refs.Digests {
			l.digests = append(l.digests, KeyOf(ref)|uint64(place))
		}
		for _, ref := range e.Refs.Paths {
			l.paths = append(l.paths, KeyOf(ref)|uint64(place))
		}
	}
	slices.Sort(l.digests)
	slices.Sort(l.paths)
}

func KeyOf(ref uint64) uint64 { return ref &^ (1<<placeBits - 1) }

// WithDigest yields the lists whose files may include that digest.
func (l *Lookup) WithDigest(ref uint64) iter.Seq[*Entry] {
	l.once.Do(l.build)
	return l.with(l.digests, ref)
}

// WithPath yields the lists whose files may include that path.
func (l *Lookup) WithPath(ref uint64) iter.Seq[*Entry] {
	l.once.Do(l.build)
	return l.with(l.paths, ref)
}

// HasWide reports whether some list has digests other than SHA-256.
func (l *Lookup) HasWide() bool {
	l.once.Do(l.build)
	return l.wide
}

func (l *Lookup) with(sorted []uint64, ref uint64) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		key := KeyOf(ref)
		i, _ := slices.BinarySearch(sorted, key)
		for last := -1; i < len(sorted) && KeyOf(sorted[i]) == key; i++ {
			place := int(sorted[i] &^ key)
			if place == last {
				continue // a list may have one content under several paths
			}
			last = place
			if !yield(l.Entries[place]) {
				return
			}
		}
	}
}

// pathSeed makes path hashes differ from one process to the next, so that
// nobody can ship paths that collide.
var pathSeed = maphash.MakeSeed()

// Refs is what memory keeps of a list's files: enough to find the few lists a
// digest or a path may be in, which the list itself then confirms. 16 bytes a
// file, sorted.
type Refs struct {
	Digests []uint64
	Paths   []uint64
	Wide    bool // there are digests other than SHA-256
}

func DigestRef(digest []byte) uint64 {
	if len(digest) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(digest)
}

func PathRef(path []byte) uint64 { return maphash.Bytes(pathSeed, path) }

func (r *Refs) HasDigest(ref uint64) bool {
	_, ok := slices.BinarySearch(r.Digests, ref)
	return ok
}

func (r *Refs) HasPath(ref uint64) bool {
	_, ok := slices.BinarySearch(r.Paths, ref)
	return ok
}

// PackageHas reports whether an active list of a package has that path with that
// content.
func (s *Snapshot) PackageHas(digest, p []byte) bool {
	ref, content := PathRef(p), DigestRef(digest)
	for e := range s.Lookup.WithPath(ref) {
		if e.Own == "" && e.Active() && e.Refs.HasPath(ref) && e.Refs.HasDigest(content) {
			return true
		}
	}
	return false
}

// Heir returns another active list that has the path, best with that content.
func (s *Snapshot) Heir(not string, digest, p []byte) (name string) {
	ref, content := PathRef(p), DigestRef(digest)
	for e := range s.Lookup.WithPath(ref) {
		if e.Name == not || !e.Active() || !e.Refs.HasPath(ref) {
			continue
		}
		if e.Refs.HasDigest(content) {
			return e.Name
		}
		name = e.Name
	}
	return name
}
