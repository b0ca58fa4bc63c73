// SPDX-License-Identifier: Apache-2.0

package header

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	// FileGhost marks a file that belongs to the package but is not in it.
	FileGhost uint32 = 1 << 6

	modeType    = 0o170000
	modeRegular = 0o100000
)

// OpenPGP hash algorithms (RFC 9580, 9.5) by the size of their digests.
var digestSizes = map[uint32]int{1: 16, 2: 20, 3: 20, 8: 32, 9: 48, 10: 64, 11: 28, 12: 32, 14: 64}

const (
	defaultDigestAlgo = 1 // MD5, when the header does not say
	maxDigest         = 64
	maxPath           = 4096

	// maxPaths bounds the total length of a header's paths. The header stores a directory once
	// for all of its files, so without a bound a small header could describe more paths than fit
	// into memory.
	maxPaths = MaxData
)

// File is one file of a package, as the packager signed it. Its slices are
// valid until the function that received it returns.
type File struct {
	Index  int    // place in the header's arrays
	Dir    []byte // ends with a slash
	Base   []byte
	Mode   uint16 // type and permissions, as in st_mode
	Flags  uint32 // FileGhost and others of rpm's rpmfileAttrs
	Digest []byte // raw, of the header's FileDigestAlgo; empty when there is none
}

// Path returns Dir and Base together.
func (f *File) Path() string { return string(f.Dir) + string(f.Base) }

// AppendPath appends Dir and Base to dst.
func (f *File) AppendPath(dst []byte) []byte { return append(append(dst, f.Dir...), f.Base...) }

// Regular reports whether it is a regular file.
func (f *File) Regular() bool { return f.Mode&modeType == modeRegular }

// Ghost reports whether the package merely owns the file, without its content.
func (f *File) Ghost() bool { return f.Flags&FileGhost != 0 }

// FileDigestAlgo returns the OpenPGP number (RFC 9580, 9.5) of the algorithm of
// the file digests.
func (h *Header) FileDigestAlgo() (uint32, error) {
	algo, err := h.Uint32(TagFileDigestAlg)
	if errors.Is(err, ErrNoTag) {
		return defaultDigestAlgo, nil
	}
	return algo, err
}

// Files calls fn for each file of the package, in the header's order, until fn returns an error,
// which Files returns unchanged. The arrays of the header must have the same length, and each
// digest must have the size of FileDigestAlgo's; otherwise Files returns an error, possibly
// after some calls of fn. For a package without files it makes no call.
func (h *Header) Files(fn func(f File) error) error {
	a, err := h.fileArrays()
	if err != nil {
		return fmt.Errorf("cannot read file list: %w", err)
	}
	var digest [maxDigest]byte
	total := 0
	for i := range a.n {
		f, err := a.next(i, digest[:])
		if err == nil {
			if total += len(f.Dir) + len(f.Base); total > maxPaths {
				err = fmt.Errorf("paths of more than %d bytes in all", maxPaths)
			}
		}
		if err != nil {
			return fmt.Errorf("cannot read file list: file %d of %d: %w", i, a.n, err)
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// fileArrays are the arrays of a header that together make its file list.
type fileArrays struct {
	n                    int
	bases, digests       cursor
	modes, flags, dirIdx []byte
	dirs                 []byte
	dirAt                []uint32 // start of each directory in dirs, and the end
	digestSize           int      // 0: any
}

func (h *Header) fileArrays() (*fileArrays, error) {
	if !h.Has(TagBaseNames) {
		for _, tag := range []uint32{TagOldFilenames, TagFileDigests, TagDirIndexes} {
			if h.Has(tag) {
				return nil, fmt.Errorf("tag %d without base names", tag)
			}
		}
		return &fileArrays{}, nil
	}
	a := &fileArrays{}
	algo, err := h.FileDigestAlgo()
	if err != nil {
		return nil, err
	}
	a.digestSize = digestSizes[algo]
	if a.bases, err = h.strings(TagBaseNames); err != nil {
		return nil, err
	}
	if a.digests, err = h.strings(TagFileDigests); err != nil {
		return nil, err
	}
	if a.modes, err = h.numbers(TagFileModes, typeInt16); err != nil {
		return nil, err
	}
	if a.flags, err = h.numbers(TagFileFlags, typeInt32); err != nil {
		return nil, err
	}
	if a.dirIdx, err = h.numbers(TagDirIndexes, typeInt32); err != nil {
		return nil, err
	}
	a.n = int(a.bases.left)
	if int(a.digests.left) != a.n || len(a.modes) != 2*a.n || len(a.flags) != 4*a.n || len(a.dirIdx) != 4*a.n {
		return nil, fmt.Errorf("%d base names, %d digests, %d modes, %d flags, %d directory indexes",
			a.n, a.digests.left, len(a.modes)/2, len(a.flags)/4, len(a.dirIdx)/4)
	}
	return a, a.indexDirs(&h.Section)
}

// indexDirs notes where each directory starts. Every directory is there for the
// sake of a file, so that more of them than files are refused; that also keeps
// the table smaller than the header.
func (a *fileArrays) indexDirs(s *Section) error {
	c, err := s.strings(TagDirNames)
	if err != nil {
		return err
	}
	if int64(c.left) > int64(a.n) {
		return fmt.Errorf("%d directories for %d files", c.left, a.n)
	}
	a.dirs = c.data
	a.dirAt = make([]uint32, 0, c.left+1)
	at := uint32(0)
	for c.left > 0 {
		a.dirAt = append(a.dirAt, at)
		d, err := c.next()
		if err != nil {
			return err
		}
		at += uint32(len(d)) + 1
	}
	a.dirAt = append(a.dirAt, at)
	return nil
}

func (a *fileArrays) next(i int, digest []byte) (File, error) {
	f := File{
		Index: i,
		Mode:  binary.BigEndian.Uint16(a.modes[2*i:]),
		Flags: binary.BigEndian.Uint32(a.flags[4*i:]),
	}
	dir := binary.BigEndian.Uint32(a.dirIdx[4*i:])
	if uint64(dir)+1 >= uint64(len(a.dirAt)) {
		return f, fmt.Errorf("directory %d of %d", dir, len(a.dirAt)-1)
	}
	f.Dir = a.dirs[a.dirAt[dir] : a.dirAt[dir+1]-1]
	var err error
	if f.Base, err = a.bases.next(); err != nil {
		return f, err
	}
	if len(f.Dir)+len(f.Base) >= maxPath {
		return f, fmt.Errorf("path of %d bytes, at most %d", len(f.Dir)+len(f.Base), maxPath-1)
	}
	text, err := a.digests.next()
	if err != nil || len(text) == 0 {
		return f, err
	}
	if len(text) > 2*maxDigest || a.digestSize != 0 && len(text) != 2*a.digestSize {
		return f, fmt.Errorf("digest of %d characters", len(text))
	}
	n, err := hex.Decode(digest, text)
	if err != nil {
		return f, fmt.Errorf("digest %q: %w", text, err)
	}
	f.Digest = digest[:n]
	return f, nil
}
