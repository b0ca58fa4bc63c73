// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"bytes"
	"encoding/binary"
)

// maxPath is the kernel's PATH_MAX less the NUL.
const maxPath = 4095

var (
	outerFields = [...]string{"DIGEST_LIST_ALGO", "DIGEST_LIST_NUM_ENTRIES", "DIGEST_LIST_ENTRY"}
	entryFields = [...]string{"DIGEST_LIST_ENTRY_DIGEST", "DIGEST_LIST_ENTRY_PATH"}
)

// WalkTLV calls fn for each entry of a tlv list, in order, until it returns an
// error, which WalkTLV returns as it is. The path, which may be empty, is
// without its NUL; both slices are parts of b. A list that the kernel would
// refuse ends with a *SyntaxError, possibly after some calls of fn; so does one
// with an entry that has no digest, or two, or no possible path. The count is
// not compared with the entries: the kernel takes it as a hint.
func WalkTLV(b []byte, fn func(algo Algo, digest, path []byte) error) error {
	if len(b) > maxList {
		return syntax(0, "list", "%d bytes, at most %d", len(b), maxList)
	}
	var (
		algo    Algo
		named   bool
		counted [len(algos)]bool
		entries int
	)
	for at := 0; at < len(b); {
		field, data, next, err := field(b, at, outerFields[:])
		if err != nil {
			return err
		}
		switch {
		case len(data) == 0:
			// The kernel passes over fields without data.
		case field == fieldAlgo:
			if len(data) != 2 {
				return syntax(at, outerFields[field], "%d bytes, want 2", len(data))
			}
			algo = Algo(binary.BigEndian.Uint16(data))
			if algo.Size() == 0 {
				return syntax(at, outerFields[field], "no algorithm has number %d", uint16(algo))
			}
			named = true
		case field == fieldCount:
			if !named {
				return syntax(at, outerFields[field], "before any DIGEST_LIST_ALGO")
			}
			if len(data) != 4 {
				return syntax(at, outerFields[field], "%d bytes, want 4", len(data))
			}
			if binary.BigEndian.Uint32(data) == 0 {
				return syntax(at, outerFields[field], "the number is 0")
			}
			counted[algo] = true
		default:
			if !named || !counted[algo] {
				return syntax(at, outerFields[field], "before its DIGEST_LIST_NUM_ENTRIES")
			}
			digest, path, err := entry(b[:next], next-len(data), algo)
			if err != nil {
				return err
			}
			entries++
			if err := fn(algo, digest, path); err != nil {
				return err
			}
		}
		at = next
	}
	if entries == 0 {
		return syntax(len(b), outerFields[fieldEntry], "the list has no entry")
	}
	return nil
}

// ParseTLV returns the entries of a tlv list, a Group for each run of entries of
// one algorithm. It fails as WalkTLV does.
func ParseTLV(b []byte) ([]Group, error) {
	var groups []Group
	err := WalkTLV(b, func(algo Algo, digest, path []byte) error {
		if n := len(groups); n == 0 || groups[n-1].Algo != algo {
			groups = append(groups, Group{Algo: algo})
		}
		g := &groups[len(groups)-1]
		g.Entries = append(g.Entries, Entry{Digest: bytes.Clone(digest), Path: string(path)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return groups, nil
}

// entry reads the fields nested in b from at on.
func entry(b []byte, at int, algo Algo) (digest, path []byte, err error) {
	start := at
	for at < len(b) {
		field, data, next, err := field(b, at, entryFields[:])
		if err != nil {
			return nil, nil, err
		}
		switch {
		case len(data) == 0:
		case field == fieldEntryDigest:
			if digest != nil {
				return nil, nil, syntax(at, entryFields[field], "a second one in the same entry")
			}
			if len(data) != algo.Size() {
				return nil, nil, syntax(at, entryFields[field], "%d bytes, %s has %d", len(data), algo, algo.Size())
			}
			digest = data
		default:
			if path != nil {
				return nil, nil, syntax(at, entryFields[field], "a second one in the same entry")
			}
			path = bytes.TrimSuffix(data, []byte{0})
			if len(path) > maxPath {
				return nil, nil, syntax(at, entryFields[field], "%d bytes, at most %d", len(path), maxPath)
			}
			if bytes.IndexByte(path, 0) >= 0 {
				return nil, nil, syntax(at, entryFields[field], "a NUL within")
			}
		}
		at = next
	}
	if digest == nil {
		return nil, nil, syntax(start, entryFields[fieldEntryDigest], "missing")
	}
	return digest, path, nil
}

// field reads one field of b and where the next one starts.
func field(b []byte, at int, names []string) (field int, data []byte, next int, err error) {
	rest := b[at:]
	if len(rest) < headSize {
		return 0, nil, 0, syntax(at, "field", "%d bytes left, its head has %d", len(rest), headSize)
	}
	field = int(binary.BigEndian.Uint16(rest))
	if field >= len(names) {
		return 0, nil, 0, syntax(at, "field", "unknown number %d", field)
	}
	length := binary.BigEndian.Uint32(rest[2:])
	rest = rest[headSize:]
	if uint64(length) > uint64(len(rest)) {
		return 0, nil, 0, syntax(at, names[field], "%d bytes announced, %d left", length, len(rest))
	}
	return field, rest[:length:length], at + headSize + int(length), nil
}
