// SPDX-License-Identifier: Apache-2.0

package rpmfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/repo/compress"
	"github.com/sassoftware/go-rpmutils"
	"github.com/ulikunitz/xz/lzma"
)

// Parts of a cpio archive: newc, and rpm's own entries, which have nothing but the place of
// the file in the header. rpm writes those where a package is of format 6, or has a file of
// 4 GiB. The library for packages misreads them, so that archives are read here.
const (
	newcMagic     = "070701"
	newcSummed    = "070702"
	strippedMagic = "07070X"
	trailer       = "TRAILER!!!"
	alignment     = 4
	maxName       = 4096
	fieldSize     = 8         // hexadecimal digits
	maxWindow     = 256 << 20 // bytes of memory of a compressor; zstd's highest level takes 128 MiB
)

// archive reads the files of a payload, one after another.
type archive struct {
	in    *bufio.Reader
	files []rpmutils.FileInfo
	names map[string]int // place of a file in files, by its name
	empty map[int]bool   // files that share the content of one that comes after them
	at    int64          // bytes that were read
	left  int64          // bytes of the present file that were not read yet
}

// decompress opens a payload.
func decompress(h *header.Header, payload io.Reader) (io.Reader, error) {
	if name, err := h.String(header.TagPayloadCompressor); err == nil && name == "lzma" {
		return lzma.NewReader(payload) // it begins with nothing by which it could be told
	}
	return compress.OpenWithin(payload, maxWindow)
}

func newArchive(in io.Reader, files []rpmutils.FileInfo) *archive {
	a := &archive{in: bufio.NewReader(in), files: files, names: make(map[string]int, len(files)), empty: map[int]bool{}}
	type inode struct{ device, number int }
	last := map[inode]int{}
	for i, f := range files {
		a.names[f.Name()] = i
		id := inode{f.Device(), f.Inode()}
		if f.Mode()&modeType != regular || f.Flags()&ghost != 0 || id.number == 0 {
			continue
		}
		if before, is := last[id]; is {
			a.empty[before] = true
		}
		last[id] = i
	}
	return a
}

// Read reads from the present file.
func (a *archive) Read(p []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.in.Read(p[:min(int64(len(p)), a.left)])
	a.at += int64(n)
	a.left -= int64(n)
	if errors.Is(err, io.EOF) && a.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next goes on to the next file, and returns its place in the header. The one before must
// have been read. After the last one it returns io.EOF.
func (a *archive) next() (int, error) {
	if err := a.align(); err != nil {
		return 0, err
	}
	magic, err := a.take(len(newcMagic))
	if err != nil {
		return 0, err
	}
	switch magic {
	case strippedMagic:
		return a.nextStripped()
	case newcMagic, newcSummed:
		return a.nextNamed()
	}
	return 0, errors.New("it is no archive")
}

func (a *archive) nextStripped() (int, error) {
	index, err := a.number()
	if err == nil {
		err = a.align()
	}
	if err != nil {
		return 0, err
	}
	if index >= int64(len(a.files)) {
		return 0, fmt.Errorf("it has file %d of %d", index, len(a.files))
	}
	i := int(index)
	if a.left = sizeOf(a.files[i]); a.empty[i] {
		a.left = 0
	}
	return i, nil
}

func (a *archive) nextNamed() (int, error) {
	const fields, fileSize, nameSize = 13, 6, 11
	var numbers [fields]int64
	for i := range numbers {
		n, err := a.number()
		if err != nil {
			return 0, err
		}
		numbers[i] = n
	}
	if n := numbers[nameSize]; n < 1 || n > maxName {
		return 0, fmt.Errorf("it has a name of %d bytes", n)
	}
	name, err := a.take(int(numbers[nameSize]))
	if err == nil {
		err = a.align()
	}
	if err != nil {
		return 0, err
	}
	a.left = numbers[fileSize]
	if name = strings.TrimSuffix(name, "\x00"); name == trailer {
		a.left = 0
		return 0, io.EOF
	}
	if strings.HasPrefix(name, "./") {
		name = name[1:]
	}
	i, is := a.names[name]
	if !is {
		return 0, fmt.Errorf("it has %q, which the header does not have", name)
	}
	return i, nil
}

// take reads n bytes.
func (a *archive) take(n int) (string, error) {
	data := make([]byte, n)
	got, err := io.ReadFull(a.in, data)
	a.at += int64(got)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // an archive has its end
	}
	return string(data), err
}

// number reads one that has its digits in hexadecimal.
func (a *archive) number() (int64, error) {
	text, err := a.take(fieldSize)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("it has %q where a number should be", text)
	}
	return int64(n), nil
}

func (a *archive) align() error {
	_, err := a.take(int(-a.at & (alignment - 1)))
	return err
}

// sizeOf is how many bytes of a payload belong to a file, by the header.
func sizeOf(f rpmutils.FileInfo) int64 {
	switch f.Mode() & modeType {
	case regular:
		return max(f.Size(), 0)
	case symbolic:
		return int64(len(f.Linkname()))
	}
	return 0
}
