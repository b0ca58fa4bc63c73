// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"slices"
)

// The ndb form is a file of little-endian words: a header in the place of the
// first two slots, slots that say where the blob of a package is, in blocks of
// 16 bytes, and blobs between a head and a tail with a checksum (rpm,
// lib/backend/ndb/rpmpkg.c).
const (
	ndbMagic      = "RpmP"
	ndbSlotMagic  = "Slot"
	ndbHeadMagic  = "BlbS"
	ndbTailMagic  = "BlbE"
	ndbVersion    = 0
	ndbHeaderSize = 32
	ndbPageSize   = 4096
	ndbSlotSize   = 16
	ndbBlockSize  = 16
	ndbHeadSize   = 16
	ndbTailSize   = 12

	ndbMaxPages = 1 << 12 // a million packages
)

// ndbState changes whenever the slots may have changed.
type ndbState struct {
	generation, pages uint32
}

type ndbSlot struct {
	pkg, offset, blocks uint32 // offset in blocks
}

func readNDBState(r io.ReaderAt, size int64) (ndbState, error) {
	var b [ndbHeaderSize]byte
	if err := readAt(r, b[:], 0); err != nil {
		return ndbState{}, err
	}
	if string(b[:4]) != ndbMagic {
		return ndbState{}, errors.New("it is not an ndb file")
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v != ndbVersion {
		return ndbState{}, fmt.Errorf("it has version %d, want %d", v, ndbVersion)
	}
	st := ndbState{binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])}
	if st.pages == 0 || st.pages > ndbMaxPages || int64(st.pages)*ndbPageSize > size {
		return ndbState{}, fmt.Errorf("it has %d pages of slots in %d bytes", st.pages, size)
	}
	return st, nil
}

// readNDBSlots returns the slots in use by ascending package number. None of
// them overlaps another, so that all blobs together are smaller than the file.
func readNDBSlots(r io.ReaderAt, size int64, pages uint32) ([]ndbSlot, error) {
	var slots []ndbSlot
	page := make([]byte, ndbPageSize)
	for p := range int64(pages) {
		if err := readAt(r, page, p*ndbPageSize); err != nil {
			return nil, err
		}
		start := 0
		if p == 0 {
			start = ndbHeaderSize
		}
		for at := start; at < ndbPageSize; at += ndbSlotSize {
			b := page[at : at+ndbSlotSize]
			if string(b[:4]) != ndbSlotMagic {
				return nil, fmt.Errorf("no slot at %d", p*ndbPageSize+int64(at))
			}
			s := ndbSlot{binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])}
			if s.offset == 0 {
				continue
			}
			if s.pkg == 0 {
				return nil, fmt.Errorf("slot at %d has no package", p*ndbPageSize+int64(at))
			}
			slots = append(slots, s)
		}
	}
	slices.SortFunc(slots, func(a, b ndbSlot) int { return cmp.Compare(a.offset, b.offset) })
	end := int64(pages) * ndbPageSize
	for _, s := range slots {
		start := int64(s.offset) * ndbBlockSize
		if start < end {
			return nil, fmt.Errorf("header %d overlaps what precedes it", s.pkg)
		}
		end = start + int64(s.blocks)*ndbBlockSize
		if end > size {
			return nil, fmt.Errorf("header %d reaches to %d, the file to %d", s.pkg, end, size)
		}
	}
	slices.SortFunc(slots, func(a, b ndbSlot) int { return cmp.Compare(a.pkg, b.pkg) })
	return slots, nil
}

// readNDBBlob appends the blob of a slot to b.
func readNDBBlob(r io.ReaderAt, s ndbSlot, b *batch) error {
	at := int64(s.offset) * ndbBlockSize
	var head [ndbHeadSize]byte
	if err := readAt(r, head[:], at); err != nil {
		return err
	}
	size := int64(binary.LittleEndian.Uint32(head[12:]))
	switch {
	case string(head[:4]) != ndbHeadMagic || binary.LittleEndian.Uint32(head[4:]) != s.pkg:
		return errors.New("it is not where its slot says")
	case size > maxBlob:
		return fmt.Errorf("it has %d bytes, at most %d", size, maxBlob)
	case int64(s.blocks) != (ndbHeadSize+size+ndbTailSize+ndbBlockSize-1)/ndbBlockSize:
		return fmt.Errorf("it has %d bytes in %d blocks", size, s.blocks)
	}
	blob := b.extend(s.pkg, int(size))
	if err := readAt(r, blob, at+ndbHeadSize); err != nil {
		return err
	}
	// Padding fills the last block before the tail.
	var rest [ndbBlockSize - 1 + ndbTailSize]byte
	tail := rest[:int64(s.blocks)*ndbBlockSize-ndbHeadSize-size]
	if err := readAt(r, tail, at+ndbHeadSize+size); err != nil {
		return err
	}
	padding, tail := tail[:len(tail)-ndbTailSize], tail[len(tail)-ndbTailSize:]
	sum := adler32.New()
	sum.Write(head[:])
	sum.Write(blob)
	sum.Write(padding)
	if string(tail[8:]) != ndbTailMagic || int64(binary.LittleEndian.Uint32(tail[4:])) != size {
		return errors.New("its tail is damaged")
	}
	if binary.LittleEndian.Uint32(tail) != sum.Sum32() {
		return errors.New("its checksum is wrong")
	}
	return nil
}

// readAt reads all of b, or says that the file is too short.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at %d: %w", len(b), at, err)
}
