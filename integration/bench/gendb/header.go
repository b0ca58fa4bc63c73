// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/digestd/digestd/digestlist/header"
)

// Types of an entry's data (rpm, include/rpm/rpmtag.h).
const (
	typeChar        = 1
	typeInt16       = 3
	typeInt32       = 4
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18NString  = 9
)

const entrySize = 16

// entry is one tag of a header.
type entry struct {
	tag, kind uint32
	count     int
	data      []byte
}

func text(tag uint32, s string) entry {
	return entry{tag, typeString, 1, append([]byte(s), 0)}
}

func i18n(tag uint32, s string) entry {
	e := text(tag, s)
	e.kind = typeI18NString
	return e
}

func texts(tag uint32, list []string) entry {
	size := 0
	for _, s := range list {
		size += len(s) + 1
	}
	data := make([]byte, 0, size)
	for _, s := range list {
		data = append(append(data, s...), 0)
	}
	return entry{tag, typeStringArray, len(list), data}
}

func words(tag uint32, list ...uint32) entry {
	data := make([]byte, 0, 4*len(list))
	for _, v := range list {
		data = binary.BigEndian.AppendUint32(data, v)
	}
	return entry{tag, typeInt32, len(list), data}
}

func halves(tag uint32, list []uint16) entry {
	data := make([]byte, 0, 2*len(list))
	for _, v := range list {
		data = binary.BigEndian.AppendUint16(data, v)
	}
	return entry{tag, typeInt16, len(list), data}
}

func binaryData(tag uint32, data []byte) entry { return entry{tag, typeBin, len(data), data} }

// section collects index and data as they lie in a header.
type section struct{ index, data []byte }

func (s *section) add(entries []entry) {
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.tag, b.tag) })
	for _, e := range entries {
		align := map[uint32]int{typeInt16: 2, typeInt32: 4}[e.kind]
		for align > 0 && len(s.data)%align != 0 {
			s.data = append(s.data, 0)
		}
		s.describe(e.tag, e.kind, int32(len(s.data)), e.count)
		s.data = append(s.data, e.data...)
	}
}

func (s *section) describe(tag, kind uint32, offset int32, count int) {
	s.index = appendEntry(s.index, tag, kind, offset, count)
}

func appendEntry(b []byte, tag, kind uint32, offset int32, count int) []byte {
	b = binary.BigEndian.AppendUint32(b, tag)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(offset))
	return binary.BigEndian.AppendUint32(b, uint32(count))
}

func (s *section) bytes() []byte {
	b := make([]byte, 0, 8+len(s.index)+len(s.data))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.index)/entrySize))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.data)))
	return append(append(b, s.index...), s.data...)
}

// region lays entries out as the immutable region, which is what is signed.
func region(entries []entry) *section { return regionOf(header.TagHeaderImmutable, entries) }

// regionOf lays them out as the region of that tag.
func regionOf(tag uint32, entries []entry) *section {
	var s section
	// The first entry points to the trailer, which points back to the first.
	s.describe(tag, typeBin, 0, entrySize)
	s.add(entries)
	binary.BigEndian.PutUint32(s.index[8:], uint32(len(s.data)))
	s.data = appendEntry(s.data, tag, typeBin, -int32(len(s.index)), entrySize)
	return &s
}
