// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// The tlv format (kernel: security/integrity/digest_cache/parsers/tlv.c, v6)
// has no header: be16 field, be32 length, data, and so on to the end. An entry
// is made of the same once more.
const (
	fieldAlgo  = 0 // be16 Algo
	fieldCount = 1 // be32 number of entries of that algorithm; follows the Algo
	fieldEntry = 2 // nested

	fieldEntryDigest = 0 // raw
	fieldEntryPath   = 1 // path and a NUL

	headSize = 6
)

// maxList bounds a list: the kernel reads files of at most INT_MAX bytes.
const maxList = math.MaxInt32

// Group is the entries of one algorithm.
type Group struct {
	Algo    Algo
	Entries []Entry
}

// Entry is one file that a list vouches for.
type Entry struct {
	Digest []byte // raw, of the group's algorithm
	Path   string // "" for none; the kernel does not look at it
}

// AppendTLV appends groups as a tlv list. Groups without entries are left out;
// without any entry at all the error is ErrEmpty.
func AppendTLV(dst []byte, groups []Group) ([]byte, error) {
	start, written := len(dst), 0
	for _, g := range groups {
		if len(g.Entries) == 0 {
			continue
		}
		if !g.Algo.strong() {
			return dst[:start], fmt.Errorf("cannot write a list with %s: %w", g.Algo, ErrWeakDigest)
		}
		dst = appendGroup(dst, g.Algo, len(g.Entries))
		for i, e := range g.Entries {
			var err error
			if dst, err = AppendTLVEntry(dst, g.Algo, e); err != nil {
				return dst[:start], fmt.Errorf("cannot write entry %d: %w", i, err)
			}
			if len(dst)-start > maxList {
				return dst[:start], fmt.Errorf("cannot write a list of more than %d bytes", maxList)
			}
		}
		written += len(g.Entries)
	}
	if written == 0 {
		return dst[:start], ErrEmpty
	}
	return dst, nil
}

// AppendTLVHead appends what stands before the entries of an algorithm, for lists that are
// written entry by entry. Its last four bytes have the number of entries that follow,
// big-endian.
func AppendTLVHead(dst []byte, a Algo, count int) ([]byte, error) {
	if !a.strong() {
		return dst, fmt.Errorf("cannot write a list with %s: %w", a, ErrWeakDigest)
	}
	return appendGroup(dst, a, count), nil
}

// AppendTLVEntry appends one entry after the head of its algorithm.
func AppendTLVEntry(dst []byte, a Algo, e Entry) ([]byte, error) {
	if len(e.Digest) != a.Size() {
		return dst, fmt.Errorf("a %s digest has %d bytes, not %d", a, a.Size(), len(e.Digest))
	}
	if len(e.Path) > maxPath {
		return dst, fmt.Errorf("its path has %d bytes, at most %d", len(e.Path), maxPath)
	}
	if strings.IndexByte(e.Path, 0) >= 0 {
		return dst, fmt.Errorf("its path %q has a NUL", e.Path)
	}
	dst = appendEntryHead(dst, e.Digest, len(e.Path))
	if e.Path != "" {
		dst = append(append(dst, e.Path...), 0)
	}
	return dst, nil
}

// appendGroup appends the fields before the entries of an algorithm. The count
// is in the last four bytes.
func appendGroup(dst []byte, a Algo, count int) []byte {
	dst = appendHead(dst, fieldAlgo, 2)
	dst = binary.BigEndian.AppendUint16(dst, uint16(a))
	dst = appendHead(dst, fieldCount, 4)
	return binary.BigEndian.AppendUint32(dst, uint32(count))
}

// appendEntryHead appends an entry as far as its path, which, with a NUL, the
// caller must append unless its length is 0.
func appendEntryHead(dst, digest []byte, path int) []byte {
	size := headSize + len(digest)
	if path > 0 {
		size += headSize + path + 1
	}
	dst = appendHead(dst, fieldEntry, size)
	dst = append(appendHead(dst, fieldEntryDigest, len(digest)), digest...)
	if path > 0 {
		dst = appendHead(dst, fieldEntryPath, path+1)
	}
	return dst
}

func appendHead(dst []byte, field uint16, length int) []byte {
	return append(dst, byte(field>>8), byte(field),
		byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}
