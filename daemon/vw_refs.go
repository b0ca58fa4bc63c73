// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// pathSeed makes path hashes differ from one process to the next, so that
// nobody can ship paths that collide.
var pathSeed = maphash.MakeSeed()

// refs is what memory keeps of a list's files: enough to find the few lists a
// digest or a path may be in, which the list itself then confirms. 16 bytes a
// file, sorted.
type refs struct {
	digests []uint64
	paths   []uint64
	wide    bool // there are digests other than SHA-256
}

func digestRef(digest []byte) uint64 {
	if len(digest) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(digest)
}

func pathRef(path []byte) uint64 { return maphash.Bytes(pathSeed, path) }

func (r *refs) hasDigest(ref uint64) bool {
	_, ok := slices.BinarySearch(r.digests, ref)
	return ok
}

func (r *refs) hasPath(ref uint64) bool {
	_, ok := slices.BinarySearch(r.paths, ref)
	return ok
}
