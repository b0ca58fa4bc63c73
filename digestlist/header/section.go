// SPDX-License-Identifier: Apache-2.0

package header

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Section is a run of entries: the signed region of a header, or what follows
// it. All accessors return ErrNoTag, wrapped, for a tag that it does not have,
// and refuse a tag that it has twice.
type Section struct {
	index []byte
	data  []byte // offsets count from its start
	n     int
}

type entry struct {
	tag, typ, offset, count uint32
}

func entryAt(index []byte, i int) entry {
	e := index[i*entrySize : (i+1)*entrySize]
	return entry{
		tag:    binary.BigEndian.Uint32(e),
		typ:    binary.BigEndian.Uint32(e[4:]),
		offset: binary.BigEndian.Uint32(e[8:]),
		count:  binary.BigEndian.Uint32(e[12:]),
	}
}

// itemSize is the size of one item of a type: exact for numbers, the least
// possible for strings, which end with a NUL. 0: no such type.
func itemSize(typ uint32) uint32 {
	switch typ {
	case typeChar, typeInt8, typeBin, typeString, typeStringArray, typeI18NString:
		return 1
	case typeInt16:
		return 2
	case typeInt32:
		return 4
	case typeInt64:
		return 8
	}
	return 0
}

// check makes sure that the data of each entry lies between min and the data of
// the next entry. The entries then share no byte, so that reading all of them
// cannot take longer than reading the header. Strings end where they should
// only when that is checked on access.
func (s *Section) check(min int) error {
	end := uint64(min)
	for i := range s.n {
		e := entryAt(s.index, i)
		size := itemSize(e.typ)
		switch {
		case e.tag < firstTag || e.tag > 1<<31-1:
			return fmt.Errorf("entry %d has tag %d", i, e.tag)
		case size == 0:
			return fmt.Errorf("tag %d has type %d", e.tag, e.typ)
		case e.count == 0 || e.typ == typeString && e.count != 1:
			return fmt.Errorf("tag %d has type %d and count %d", e.tag, e.typ, e.count)
		case e.offset%size != 0:
			return fmt.Errorf("tag %d of type %d is at %d, not aligned", e.tag, e.typ, e.offset)
		case uint64(e.offset) < end:
			return fmt.Errorf("tag %d is at %d, inside of what precedes it", e.tag, e.offset)
		}
		end = uint64(e.offset) + uint64(size)*uint64(e.count)
		if end > uint64(len(s.data)) {
			return fmt.Errorf("tag %d reaches to %d, outside of %d bytes of data", e.tag, end, len(s.data))
		}
	}
	return nil
}

// find returns the entry of a tag and the data from its start to the start of
// the next entry.
func (s *Section) find(tag uint32) (entry, []byte, error) {
	at := -1
	for i := range s.n {
		if binary.BigEndian.Uint32(s.index[i*entrySize:]) != tag {
			continue
		}
		if at >= 0 {
			return entry{}, nil, fmt.Errorf("tag %d occurs twice in the header", tag)
		}
		at = i
	}
	if at < 0 {
		return entry{}, nil, fmt.Errorf("%w: %d", ErrNoTag, tag)
	}
	e, data := s.get(at)
	return e, data, nil
}

func (s *Section) get(i int) (entry, []byte) {
	e := entryAt(s.index, i)
	end := uint32(len(s.data))
	if i+1 < s.n {
		end = entryAt(s.index, i+1).offset
	}
	return e, s.data[e.offset:end]
}

// numbers returns the data of an entry of numbers of the given type.
func (s *Section) numbers(tag, typ uint32) ([]byte, error) {
	e, data, err := s.find(tag)
	if err != nil {
		return nil, err
	}
	if e.typ != typ {
		return nil, fmt.Errorf("tag %d has type %d, want %d", tag, e.typ, typ)
	}
	return data[:e.count*itemSize(typ)], nil
}

// Has reports whether there is an entry with the tag.
func (s *Section) Has(tag uint32) bool {
	for i := range s.n {
		if binary.BigEndian.Uint32(s.index[i*entrySize:]) == tag {
			return true
		}
	}
	return false
}

// Bytes returns the data of a binary entry, or of one with 8-bit items such as
// the file states. It aliases the header.
func (s *Section) Bytes(tag uint32) ([]byte, error) {
	e, data, err := s.find(tag)
	if err != nil {
		return nil, err
	}
	switch e.typ {
	case typeBin, typeChar, typeInt8:
		return data[:e.count], nil
	}
	return nil, fmt.Errorf("tag %d has type %d, want bytes", tag, e.typ)
}

// Uint32 returns the first of an entry's 32-bit numbers. Builders disagree on
// whether some tags hold one number or one a file; rpm takes the first.
func (s *Section) Uint32(tag uint32) (uint32, error) {
	b, err := s.numbers(tag, typeInt32)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

// Uint32s returns an entry's 32-bit numbers.
func (s *Section) Uint32s(tag uint32) ([]uint32, error) {
	b, err := s.numbers(tag, typeInt32)
	if err != nil {
		return nil, err
	}
	v := make([]uint32, len(b)/4)
	for i := range v {
		v[i] = binary.BigEndian.Uint32(b[i*4:])
	}
	return v, nil
}

// String returns an entry's string, the first one if there are several (of a
// translated text, that is the one of the C locale).
func (s *Section) String(tag uint32) (string, error) {
	c, err := s.strings(tag)
	if err != nil {
		return "", err
	}
	b, err := c.next()
	return string(b), err
}

// Strings returns an entry's strings.
func (s *Section) Strings(tag uint32) ([]string, error) {
	c, err := s.strings(tag)
	if err != nil {
		return nil, err
	}
	var v []string
	for c.left > 0 {
		b, err := c.next()
		if err != nil {
			return nil, err
		}
		v = append(v, string(b))
	}
	return v, nil
}

// cursor walks over the strings of an entry without allocating.
type cursor struct {
	tag  uint32
	left uint32 // strings not yet taken
	data []byte
}

func (s *Section) strings(tag uint32) (cursor, error) {
	e, data, err := s.find(tag)
	if err != nil {
		return cursor{}, err
	}
	return stringsOf(e, data)
}

func stringsOf(e entry, data []byte) (cursor, error) {
	switch e.typ {
	case typeString, typeStringArray, typeI18NString:
		return cursor{tag: e.tag, left: e.count, data: data}, nil
	}
	return cursor{}, fmt.Errorf("tag %d has type %d, want strings", e.tag, e.typ)
}

// next returns the next string. It must not be called when none is left.
func (c *cursor) next() ([]byte, error) {
	end := bytes.IndexByte(c.data, 0)
	if end < 0 {
		return nil, fmt.Errorf("tag %d has %d strings too few", c.tag, c.left)
	}
	s := c.data[:end:end]
	c.data = c.data[end+1:]
	c.left--
	return s, nil
}
