// SPDX-License-Identifier: Apache-2.0

package updateinfo

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// maxWindow bounds the memory that a compressed file may ask for; those of
// repositories ask for at most 8 MiB. Of the readers of xz there is one that
// heeds a bound.
const maxWindow = 64 << 20

// compressions by what their files begin with.
var compressions = []struct {
	magic string
	open  func(io.Reader) (io.Reader, error)
}{
	{"\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, maxWindow) }},
	{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}},
}

// plain returns what r holds, decompressed if it is compressed.
func plain(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	for _, c := range compressions {
		if head, _ := buffered.Peek(len(c.magic)); string(head) == c.magic {
			r, err := c.open(buffered)
			if err != nil {
				return nil, fmt.Errorf("cannot decompress: %w", err)
			}
			return r, nil
		}
	}
	return buffered, nil
}

// source counts what the parser reads, and stops it where there is too much: in
// one token, which the parser holds in memory, or in all.
type source struct {
	r     *bufio.Reader
	most  int   // bytes of a token
	token int   // bytes since the last token
	left  int64 // bytes that may come yet
	err   error // why it was stopped
}

var errTotal = errors.New("it is too large")

func (s *source) ReadByte() (byte, error) {
	if s.err != nil {
		return 0, s.err
	}
	b, err := s.r.ReadByte()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			s.err = fmt.Errorf("cannot decompress or read: %w", err)
			return 0, s.err
		}
		return 0, err
	}
	s.token++
	s.left--
	switch {
	case s.token > s.most:
		s.err = fmt.Errorf("one tag or text has more than %d bytes", s.most)
	case s.left < 0:
		s.err = errTotal
	}
	return b, s.err
}

// Read makes it an io.Reader; the parser takes bytes.
func (s *source) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}
