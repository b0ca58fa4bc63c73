// SPDX-License-Identifier: Apache-2.0

package header_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/header"
)

const (
	typeInt16       = 3
	typeInt32       = 4
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
)

// record is an entry of a header to be built. Wrong ones are the point.
type record struct {
	tag, typ, count uint32
	data            []byte
}

func text(tag uint32, s string) record {
	return record{tag, typeString, 1, append([]byte(s), 0)}
}

func texts(tag uint32, s ...string) record {
	return record{tag, typeStringArray, uint32(len(s)), []byte(strings.Join(s, "\x00") + "\x00")}
}

func blob(tag uint32, b string) record {
	return record{tag, typeBin, uint32(len(b)), []byte(b)}
}

func u32s(tag uint32, v ...uint32) record {
	r := record{tag, typeInt32, uint32(len(v)), nil}
	for _, x := range v {
		r.data = binary.BigEndian.AppendUint32(r.data, x)
	}
	return r
}

func u16s(tag uint32, v ...uint16) record {
	r := record{tag, typeInt16, uint32(len(v)), nil}
	for _, x := range v {
		r.data = binary.BigEndian.AppendUint16(r.data, x)
	}
	return r
}

// build writes a header with a region of the given tag around the signed
// records. regionTag 0: no region, and no distinction.
func build(regionTag uint32, signed, unsigned []record) []byte {
	var index, data []byte
	put := func(records []record) {
		for _, r := range records {
			for align := map[uint32]int{typeInt16: 2, typeInt32: 4}[r.typ]; align > 0 && len(data)%align != 0; {
				data = append(data, 0)
			}
			index = appendEntry(index, r.tag, r.typ, uint32(len(data)), r.count)
			data = append(data, r.data...)
		}
	}
	put(signed)
	if regionTag != 0 {
		index = append(appendEntry(nil, regionTag, typeBin, uint32(len(data)), 16), index...)
		data = appendEntry(data, regionTag, typeBin, -uint32(len(index)), 16)
	}
	put(unsigned)
	out := binary.BigEndian.AppendUint32(nil, uint32(len(index)/16))
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(append(out, index...), data...)
}

func appendEntry(b []byte, v ...uint32) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *header.Header {
	t.Helper()
	h, err := header.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// with returns base with records replaced by those of the same tag.
func with(base []record, replace ...record) []record {
	out := append([]record(nil), base...)
	for _, r := range replace {
		for i := range out {
			if out[i].tag == r.tag {
				out[i] = r
			}
		}
	}
	return out
}

func without(base []record, tag uint32) []record {
	var out []record
	for _, r := range base {
		if r.tag != tag {
			out = append(out, r)
		}
	}
	return out
}

// nevraRecords and fileRecords make up a small package.
func nevraRecords() []record {
	return []record{
		text(header.TagName, "hello"),
		text(header.TagVersion, "1.0"),
		text(header.TagRelease, "2"),
		u32s(header.TagEpoch, 3),
		text(header.TagArch, "noarch"),
	}
}

func fileRecords() []record {
	return []record{
		u16s(header.TagFileModes, 0o100755, 0o120777, 0o100644),
		texts(header.TagFileDigests, strings.Repeat("ab", 32), "", strings.Repeat("cd", 32)),
		u32s(header.TagFileFlags, 0, 0, header.FileGhost),
		u32s(header.TagDirIndexes, 0, 1, 0),
		texts(header.TagBaseNames, "hello", "link", "state"),
		texts(header.TagDirNames, "/usr/bin/", "/etc/"),
		u32s(header.TagFileDigestAlg, 8),
	}
}

// manyFiles is the header of a package with as many files as a large one has in a directory.
func manyFiles() []byte {
	const n = 300
	var bases, digests []string
	for i := range n {
		bases, digests = append(bases, fmt.Sprintf("file-%d", i)), append(digests, strings.Repeat("ab", 32))
	}
	modes, numbers := slices.Repeat([]uint16{0o100644}, n), make([]uint32, n)
	return build(header.TagHeaderImmutable, with(append(nevraRecords(), fileRecords()...),
		texts(header.TagBaseNames, bases...), texts(header.TagDirNames, "/usr/share/many/"), u32s(header.TagDirIndexes, numbers...),
		u16s(header.TagFileModes, modes...), u32s(header.TagFileFlags, numbers...), texts(header.TagFileDigests, digests...)), nil)
}
