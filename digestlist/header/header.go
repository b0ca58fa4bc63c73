// SPDX-License-Identifier: Apache-2.0

package header

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Magic precedes a header in a package file, and in what is signed and
// digested. A header in rpm's database, or one that a hook sends, lacks it.
const Magic = "\x8e\xad\xe8\x01\x00\x00\x00\x00"

// Limits of rpm.
const (
	MaxEntries = 0xffff     // HEADER_TAGS_MAX
	MaxData    = 0x0fffffff // HEADER_DATA_MAX, bytes
)

const (
	introSize   = 8  // entries and data size
	entrySize   = 16 // tag, type, offset, count
	trailerSize = entrySize
	firstTag    = 100 // below are regions, and tags that never reach a file
)

// ErrNoRegion means that a header has no immutable region, so nothing in it can be verified.
// This is so for public keys that old versions of rpm imported, and for packages from before rpm
// 4, in whose headers rpm marks a region of another kind.
var ErrNoRegion = errors.New("header has no immutable region")

// ErrNoTag means that a header has no entry with the tag.
var ErrNoTag = errors.New("no such tag in the header")

// Header is a parsed header. It keeps the bytes it was parsed from; they must
// not change while it is in use. Its methods may be called concurrently.
//
// The accessors of the embedded Section read the region. A header without a
// region answers from all of its entries, but has no Immutable and no Digest.
type Header struct {
	Section
	unsigned Section

	blob   []byte
	region uint32 // TagHeaderImmutable, TagHeaderSignatures, tagHeaderImage, or 0
	ril    int    // entries in the region, with the region's own
	rdl    int    // bytes of data in the region, with the trailer
}

// Parse parses a header in the form of rpm's database: without Magic, and with nothing after its
// data. The result aliases blob.
func Parse(blob []byte) (*Header, error) {
	h := &Header{}
	if err := h.parse(blob); err != nil {
		return nil, fmt.Errorf("cannot parse header: %w", err)
	}
	return h, nil
}

// ParseImmutable parses a region (RPMTAG_HEADERIMMUTABLE as librpm returns it): a header that
// consists of its region only.
func ParseImmutable(region []byte) (*Header, error) {
	h, err := Parse(region)
	if err != nil {
		return nil, err
	}
	if h.region != TagHeaderImmutable {
		return nil, fmt.Errorf("cannot parse immutable region: %w", ErrNoRegion)
	}
	if h.unsigned.n != 0 || introSize+h.ril*entrySize+h.rdl != len(region) {
		return nil, errors.New("cannot parse immutable region: there is more in it than the region")
	}
	return h, nil
}

func (h *Header) parse(blob []byte) error {
	if len(blob) < introSize {
		return fmt.Errorf("%d bytes, need at least %d", len(blob), introSize)
	}
	il, dl := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	switch {
	case il == 0 || il > MaxEntries:
		return fmt.Errorf("%d entries, want 1 to %d", il, MaxEntries)
	case dl > MaxData:
		return fmt.Errorf("%d bytes of data, at most %d", dl, MaxData)
	case len(blob) != introSize+int(il)*entrySize+int(dl):
		return fmt.Errorf("%d bytes, but %d entries and %d bytes of data make %d",
			len(blob), il, dl, introSize+int(il)*entrySize+int(dl))
	}
	h.blob = blob
	index, data := blob[introSize:introSize+int(il)*entrySize], blob[introSize+int(il)*entrySize:]

	first := entryAt(index, 0)
	if first.tag < tagHeaderImage || first.tag > TagHeaderImmutable {
		h.Section = Section{index: index, data: data, n: int(il)}
		return h.Section.check(0)
	}
	if err := h.parseRegion(first, index, data); err != nil {
		return err
	}
	h.Section = Section{index: index[entrySize : h.ril*entrySize], data: data[:h.rdl-trailerSize], n: h.ril - 1}
	h.unsigned = Section{index: index[h.ril*entrySize:], data: data, n: int(il) - h.ril}
	if err := h.Section.check(0); err != nil {
		return err
	}
	return h.unsigned.check(h.rdl)
}

// parseRegion finds how far the region reaches. Its first entry points to a
// trailer, the last 16 bytes of the region's data, which has the form of an
// entry and the size of the region's index as a negative offset.
func (h *Header) parseRegion(first entry, index, data []byte) error {
	if first.typ != typeBin || first.count != trailerSize {
		return fmt.Errorf("region entry has type %d and count %d, want %d and %d", first.typ, first.count, typeBin, trailerSize)
	}
	if int64(first.offset)+trailerSize > int64(len(data)) {
		return fmt.Errorf("region trailer at %d, outside of %d bytes of data", first.offset, len(data))
	}
	trailer := entryAt(data[first.offset:first.offset+trailerSize], 0)
	if trailer.tag != first.tag || trailer.typ != typeBin || trailer.count != trailerSize {
		return fmt.Errorf("region trailer has tag %d, type %d and count %d", trailer.tag, trailer.typ, trailer.count)
	}
	size := -int64(int32(trailer.offset))
	if size < entrySize || size%entrySize != 0 || size > int64(len(index)) {
		return fmt.Errorf("region has %d bytes of index, of %d in all", size, len(index))
	}
	h.region = first.tag
	h.ril = int(size / entrySize)
	h.rdl = int(first.offset) + trailerSize
	return nil
}

// Unsigned returns the entries after the region, which nobody signed: what rpm added at
// installation. It is empty for a header without a region.
func (h *Header) Unsigned() *Section { return &h.unsigned }
