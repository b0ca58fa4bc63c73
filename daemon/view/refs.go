// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

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
