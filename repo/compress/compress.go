// SPDX-License-Identifier: Apache-2.0

// Package compress opens the compressed files of package repositories, by what they begin
// with: gzip, bzip2, xz, zstd, zchunk, or plain.
//
// It promises that no file asks for more memory than a bound, and leaves the length of what
// comes out to its caller.
package compress

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/digestd/digestd/repo/zck"
	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// maxWindow bounds the memory that a compressed file may ask for; those of
// repositories ask for at most 8 MiB. Of the readers of xz there is one that
// keeps a bound.
const maxWindow = 64 << 20

// kinds by what their files begin with.
var kinds = []struct {
	magic string
	open  func(r io.Reader, window uint32) (io.Reader, error)
}{
	{"\x1f\x8b", func(r io.Reader, _ uint32) (io.Reader, error) { return gzip.NewReader(r) }},
	{"BZh", func(r io.Reader, _ uint32) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"\xfd7zXZ\x00", func(r io.Reader, window uint32) (io.Reader, error) { return xz.NewReader(r, window) }},
	{"\x28\xb5\x2f\xfd", openZstd},
	{zck.Magic, func(r io.Reader, _ uint32) (io.Reader, error) { return zck.NewReader(r) }},
}

func openZstd(r io.Reader, window uint32) (io.Reader, error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// Open returns what r holds, decompressed if it is compressed.
func Open(r io.Reader) (io.Reader, error) { return OpenWithin(r, maxWindow) }

// OpenWithin is Open for what may ask for a window of so many bytes.
func OpenWithin(r io.Reader, window uint32) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	for _, k := range kinds {
		if head, _ := buffered.Peek(len(k.magic)); string(head) == k.magic {
			r, err := k.open(buffered, window)
			if err != nil {
				return nil, fmt.Errorf("cannot decompress: %w", err)
			}
			return r, nil
		}
	}
	return buffered, nil
}
