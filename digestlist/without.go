// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist/header"
)

// AppendWithout appends the body of a list without the entries that drop chooses, and returns
// how many those are. The error is ErrEmpty when no other is left. The arguments of drop are
// valid until it returns.
func AppendWithout(dst []byte, format string, body []byte, drop func(algo Algo, digest, path []byte) bool) ([]byte, int, error) {
	switch format {
	case FormatTLV:
		return appendTLVWithout(dst, body, drop)
	case FormatRPM:
		return appendRPMWithout(dst, body, drop)
	}
	return dst, 0, fmt.Errorf("cannot change a list of the unknown format %q", format)
}

func appendTLVWithout(dst, body []byte, drop func(algo Algo, digest, path []byte) bool) ([]byte, int, error) {
	var (
		start   = len(dst)
		group   = start // where the run of entries of one algorithm begins
		algo    Algo
		left    int // of the run
		any     bool
		dropped int
	)
	finish := func() {
		if left == 0 {
			dst = dst[:group]
			return
		}
		head := len(appendGroup(nil, algo, 0))
		binary.BigEndian.PutUint32(dst[group+head-4:], uint32(left))
	}
	err := WalkTLV(body, func(a Algo, digest, path []byte) error {
		if !any || a != algo {
			finish()
			group, algo, left, any = len(dst), a, 0, true
			dst = appendGroup(dst, a, 0)
		}
		if drop(a, digest, path) {
			dropped++
			return nil
		}
		left++
		dst = appendEntryHead(dst, digest, len(path))
		if len(path) > 0 {
			dst = append(append(dst, path...), 0)
		}
		return nil
	})
	if err != nil {
		return dst[:start], 0, err
	}
	if finish(); len(dst) == start {
		return dst, dropped, ErrEmpty
	}
	return dst, dropped, nil
}

// appendRPMWithout overwrites digests by zeros, which no file has: an entry
// cannot leave a header, where offsets lead to all that follows.
func appendRPMWithout(dst, body []byte, drop func(algo Algo, digest, path []byte) bool) ([]byte, int, error) {
	start, dropped, left := len(dst), 0, 0
	var gone [][]byte
	err := WalkRPM(body, func(algo Algo, digest, path []byte) error {
		if drop(algo, digest, path) {
			dropped++
			gone = append(gone, bytes.Clone(digest))
		} else if len(bytes.Trim(digest, "\x00")) > 0 {
			left++
		}
		return nil
	})
	if err != nil {
		return dst, 0, err
	}
	if left == 0 {
		return dst, dropped, ErrEmpty
	}
	dst = append(dst, body...)
	data := dst[start+len(header.Magic):]
	for _, digest := range gone {
		digits := append(hex.AppendEncode(nil, digest), 0)
		for at := 0; ; {
			i := bytes.Index(data[at:], digits)
			if i < 0 {
				break
			}
			at += i
			copy(data[at:], bytes.Repeat([]byte{'0'}, len(digits)-1))
		}
	}
	err = WalkRPM(dst[start:], func(_ Algo, digest, path []byte) error {
		if slices.ContainsFunc(gone, func(g []byte) bool { return bytes.Equal(g, digest) }) {
			return fmt.Errorf("cannot take %s out of the header: its digest is not written as rpm does", path)
		}
		return nil
	})
	if err != nil {
		return dst[:start], 0, err
	}
	return dst, dropped, nil
}
