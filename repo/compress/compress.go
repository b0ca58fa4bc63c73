// SPDX-License-Identifier: Apache-2.0

// Package compress opens the compressed files of package repositories, which it recognises by
// their first bytes: gzip, bzip2, xz, zstd, zchunk, or plain.
//
// No file can use more memory than a bound. The caller must limit the size of the output.
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

// maxWindow bounds the memory that a compressed file may request; files of repositories request
// at most 8 MiB. Only one of the available readers of xz enforces a bound.
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

// Open returns the content of r, decompressed if necessary.
func Open(r io.Reader) (io.Reader, error) { return OpenWithin(r, maxWindow) }

// OpenWithin is Open for files that may request a window of so many bytes.
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
