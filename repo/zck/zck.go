// SPDX-License-Identifier: Apache-2.0

// Package zck reads zchunk files in the form that repositories use: a header with a list of
// chunks, each of which is compressed separately with zstd, or not at all, after a common
// dictionary.
//
// It verifies the digest of the header and of each chunk before it returns their content, and
// needs no more memory than one chunk, whose size is bounded. It ignores signatures in the
// header, and refuses detached headers and streams.
package zck

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Magic is how a zchunk file begins.
const Magic = "\x00ZCK1"

// The bounds.
const (
	maxHeader = 64 << 20 // bytes; a chunk takes some 40
	maxChunk  = 64 << 20 // bytes, packed or not; zck makes chunks of some 32 KiB
	maxChunks = 1 << 20
	maxDict   = 8 << 20
)

// Flags of a file. Others say that something was added that this package cannot read.
const (
	flagStreams  = 1
	flagElements = 2
	flagUnpacked = 4 // digests of chunks are of what they hold, too
)

const (
	compressionNone = 0
	compressionZstd = 2
)

// kinds of checksums, and the bytes of each that are kept.
var kinds = map[uint64]struct {
	make func() hash.Hash
	size int
}{
	0: {sha1.New, sha1.Size}, 1: {sha256.New, sha256.Size}, 2: {sha512.New, sha512.Size}, 3: {sha512.New, 16},
}

// chunk is one of the index.
type chunk struct {
	sum         []byte
	packed, raw uint64
}

// Reader returns the content of the chunks, one after the other.
type Reader struct {
	r       *bufio.Reader
	decoder *zstd.Decoder // nil: not compressed
	kind    uint64        // of the digests of chunks
	chunks  []chunk       // that are to come
	whole   hash.Hash     // of all chunks
	want    []byte        // what that must be
	packed  []byte
	raw     []byte // of the chunk, what was not handed out
	room    []byte // of the chunk
}

// NewReader reads the header of a file.
func NewReader(r io.Reader) (*Reader, error) {
	z := &Reader{r: bufio.NewReader(r)}
	if err := z.header(); err != nil {
		return nil, fmt.Errorf("zchunk: %w", err)
	}
	if err := z.dictionary(); err != nil {
		return nil, fmt.Errorf("zchunk: its dictionary: %w", err)
	}
	return z, nil
}

var errCut = errors.New("it is cut short")

// number reads an integer, seven bits a byte, of which the last has the highest bit set.
func number(b *bytes.Reader) (n uint64, err error) {
	for shift := 0; shift < 63; shift += 7 {
		c, err := b.ReadByte()
		if err != nil {
			return 0, errCut
		}
		n |= uint64(c&0x7f) << shift
		if c&0x80 != 0 {
			return n, nil
		}
	}
	return 0, errors.New("a number is too large")
}

// header reads everything before the first chunk.
func (z *Reader) header() error {
	// The lead: what the header is digested by, and how long it is.
	lead := make([]byte, 0, 64)
	for range len(Magic) {
		c, err := z.r.ReadByte()
		if err != nil {
			return errCut
		}
		lead = append(lead, c)
	}
	if string(lead) != Magic {
		return errors.New("it is no zchunk file")
	}
	var fields [2]uint64
	for i := range fields {
		from := len(lead)
		for {
			c, err := z.r.ReadByte()
			if err != nil {
				return errCut
			}
			if lead = append(lead, c); c&0x80 != 0 {
				break
			}
			if len(lead)-from > 9 {
				return errors.New("a number is too large")
			}
		}
		n, err := number(bytes.NewReader(lead[from:]))
		if err != nil {
			return err
		}
		fields[i] = n
	}
	kind, known := kinds[fields[0]]
	if !known {
		return fmt.Errorf("it has checksums of the unknown kind %d", fields[0])
	}
	if fields[1] > maxHeader {
		return fmt.Errorf("its header has %d bytes, at most %d are read", fields[1], maxHeader)
	}
	sum := make([]byte, kind.size)
	if _, err := io.ReadFull(z.r, sum); err != nil {
		return errCut
	}
	// Read as it comes: what it says of its length may be wrong.
	body, err := io.ReadAll(io.LimitReader(z.r, int64(fields[1])))
	if err != nil || uint64(len(body)) != fields[1] {
		return errCut
	}
	h := kind.make()
	h.Write(lead)
	h.Write(body)
	if !bytes.Equal(h.Sum(nil)[:kind.size], sum) {
		return errors.New("its header is damaged: it has another checksum")
	}
	z.whole = kind.make()
	return z.preface(bytes.NewReader(body), kind.size)
}

// preface reads what the header says.
func (z *Reader) preface(b *bytes.Reader, size int) error {
	z.want = make([]byte, size)
	if _, err := io.ReadFull(b, z.want); err != nil {
		return errCut
	}
	flags, err := number(b)
	if err != nil {
		return err
	}
	if unknown := flags &^ (flagElements | flagUnpacked); unknown != 0 {
		return fmt.Errorf("it has the flags %#x, which this digestd does not read", unknown)
	}
	compression, err := number(b)
	if err != nil {
		return err
	}
	switch compression {
	case compressionNone:
	case compressionZstd:
		z.decoder, err = newDecoder()
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("it is compressed in the unknown way %d", compression)
	}
	if flags&flagElements != 0 {
		if err := skipElements(b); err != nil {
			return err
		}
	}
	return z.index(b, flags)
}

func newDecoder(options ...zstd.DOption) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, append(options, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxChunk))...)
}

func skipElements(b *bytes.Reader) error {
	n, err := number(b)
	for ; err == nil && n > 0; n-- {
		var size uint64
		if _, err = number(b); err != nil {
			break
		}
		if size, err = number(b); err == nil {
			err = skip(b, size)
		}
	}
	return err
}

func skip(b *bytes.Reader, size uint64) error {
	if size > uint64(b.Len()) {
		return errCut
	}
	_, err := b.Seek(int64(size), io.SeekCurrent)
	return err
}

// index reads the list of chunks.
func (z *Reader) index(b *bytes.Reader, flags uint64) (err error) {
	if _, err = number(b); err != nil { // its size, which its fields tell as well
		return err
	}
	if z.kind, err = number(b); err != nil {
		return err
	}
	kind, known := kinds[z.kind]
	if !known {
		return fmt.Errorf("it has checksums of the unknown kind %d", z.kind)
	}
	n, err := number(b)
	if err != nil {
		return err
	}
	if n > maxChunks || n > uint64(b.Len()) {
		return fmt.Errorf("it has %d chunks, more than its header can list", n)
	}
	// The first is the dictionary.
	z.chunks = make([]chunk, 0, n)
	for range n {
		c := chunk{sum: make([]byte, kind.size)}
		if _, err := io.ReadFull(b, c.sum); err != nil {
			return errCut
		}
		if flags&flagUnpacked != 0 {
			if err := skip(b, uint64(kind.size)); err != nil {
				return err
			}
		}
		if c.packed, err = number(b); err != nil {
			return err
		}
		if c.raw, err = number(b); err != nil {
			return err
		}
		if c.packed > maxChunk || c.raw > maxChunk {
			return fmt.Errorf("a chunk has %d bytes, at most %d are read", max(c.packed, c.raw), maxChunk)
		}
		z.chunks = append(z.chunks, c)
	}
	return nil
}

// dictionary reads the first chunk, and has the others decompressed with it.
func (z *Reader) dictionary() error {
	if len(z.chunks) == 0 {
		return nil
	}
	first := z.chunks[0]
	z.chunks = z.chunks[1:]
	if first.packed == 0 {
		return nil
	}
	if first.raw > maxDict {
		return fmt.Errorf("it has %d bytes, at most %d are read", first.raw, maxDict)
	}
	dict, err := z.read(first)
	if err != nil || z.decoder == nil {
		return err
	}
	const trained = "\x37\xa4\x30\xec"
	option := zstd.WithDecoderDictRaw(0, bytes.Clone(dict))
	if bytes.HasPrefix(dict, []byte(trained)) {
		option = zstd.WithDecoderDicts(bytes.Clone(dict))
	}
	z.decoder.Close()
	z.decoder, err = newDecoder(option)
	return err
}

// read reads a chunk. The result is valid until the next one.
func (z *Reader) read(c chunk) ([]byte, error) {
	var err error
	if z.packed, err = appendN(z.packed[:0], z.r, int64(c.packed)); err != nil {
		return nil, err
	}
	z.whole.Write(z.packed)
	kind := kinds[z.kind]
	h := kind.make()
	h.Write(z.packed)
	if !bytes.Equal(h.Sum(nil)[:kind.size], c.sum) {
		return nil, errors.New("a chunk is damaged: it has another checksum")
	}
	raw := z.packed
	if z.decoder != nil && c.packed > 0 {
		if z.room, err = z.decoder.DecodeAll(z.packed, z.room[:0]); err != nil {
			return nil, err
		}
		raw = z.room
	}
	if uint64(len(raw)) != c.raw {
		return nil, fmt.Errorf("a chunk has %d bytes, and %d are announced", len(raw), c.raw)
	}
	return raw, nil
}

// appendN appends n bytes of r: room for them is made as they come.
func appendN(to []byte, r io.Reader, n int64) ([]byte, error) {
	b := bytes.NewBuffer(to)
	got, err := io.CopyN(b, r, n)
	if err != nil || got != n {
		return b.Bytes(), errCut
	}
	return b.Bytes(), nil
}

// Read hands out what the chunks hold.
func (z *Reader) Read(p []byte) (n int, err error) {
	for len(z.raw) == 0 {
		if len(z.chunks) == 0 {
			return 0, z.finish()
		}
		c := z.chunks[0]
		z.chunks = z.chunks[1:]
		if z.raw, err = z.read(c); err != nil {
			z.chunks, z.want = nil, nil
			return 0, fmt.Errorf("zchunk: %w", err)
		}
	}
	n = copy(p, z.raw)
	z.raw = z.raw[n:]
	return n, nil
}

// finish checks the whole.
func (z *Reader) finish() error {
	if z.want == nil {
		return errors.New("zchunk: it was damaged before")
	}
	if sum := z.whole.Sum(nil)[:len(z.want)]; !bytes.Equal(sum, z.want) && len(bytes.Trim(z.want, "\x00")) > 0 {
		return errors.New("zchunk: the whole is damaged: it has another checksum")
	}
	return io.EOF
}
