// SPDX-License-Identifier: Apache-2.0

package header

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Immutable returns the region in the form of a header of its own: together
// with Magic before it, the bytes that are signed. It aliases the header when
// nothing follows the region. ErrNoRegion: there is none.
func (h *Header) Immutable() ([]byte, error) {
	if h.region != TagHeaderImmutable {
		return nil, ErrNoRegion
	}
	size := introSize + h.ril*entrySize + h.rdl
	if size == len(h.blob) {
		return h.blob, nil
	}
	b := make([]byte, 0, size)
	b = append(b, h.intro()...)
	b = append(b, h.regionIndex()...)
	return append(b, h.regionData()...), nil
}

// Digest returns the SHA-256 digest of Magic and Immutable. It is what rpm
// keeps, in hex, as TagSHA256Header, and what names one build of a package.
func (h *Header) Digest() ([sha256.Size]byte, error) {
	_, sum, err := h.Hashed()
	return sum, err
}

// Hashed returns Digest and the state it was read from, so that a signature,
// which hashes some bytes more, need not hash the header again. The state is nil
// if it cannot be copied: the hashes of Go's validated cryptographic module have no Clone.
func (h *Header) Hashed() (hash.Cloner, [sha256.Size]byte, error) { return h.hashedBy(sha256.New()) }

func (h *Header) hashedBy(d hash.Hash) (state hash.Cloner, sum [sha256.Size]byte, err error) {
	if h.region != TagHeaderImmutable {
		return nil, sum, ErrNoRegion
	}
	d.Write([]byte(Magic))
	d.Write(h.intro())
	d.Write(h.regionIndex())
	d.Write(h.regionData())
	d.Sum(sum[:0])
	state, _ = d.(hash.Cloner)
	return state, sum, nil
}

func (h *Header) intro() []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, introSize), uint32(h.ril))
	return binary.BigEndian.AppendUint32(b, uint32(h.rdl))
}

func (h *Header) regionIndex() []byte {
	return h.blob[introSize : introSize+h.ril*entrySize]
}

func (h *Header) regionData() []byte {
	return h.unsigned.data[:h.rdl]
}
