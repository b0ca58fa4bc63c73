// SPDX-License-Identifier: Apache-2.0

package userfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"golang.org/x/sys/unix"
)

// maxListFile bounds a list file that is read: as digestd's own bound.
const maxListFile = 512 << 20

// List is a list without its signature.
type List struct {
	Format  string // tlv, rpm
	Content []byte
	Sig     []byte
	Kind    digestlist.SigType // of sig
}

// Open opens a file without blocking.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read list: %w", err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("cannot read list %s: %w", path, errors.Join(err, errors.New("not a regular file")))
	}
	return f, nil
}

// ReadAtMost reads everything. It fails if there are more than that many bytes.
func ReadAtMost(r io.Reader, most int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	return data, err
}

// ReadList reads a list file and removes its signature. It does not check the list.
func ReadList(path string) (file []byte, l List, err error) {
	f, err := Open(path)
	if err != nil {
		return nil, l, err
	}
	defer f.Close()
	if file, err = ReadAtMost(f, maxListFile); err != nil {
		return nil, l, fmt.Errorf("cannot read list %s: %w", path, err)
	}
	l.Content, l.Sig, l.Kind, err = digestlist.SplitSignature(file)
	if errors.Is(err, digestlist.ErrUnsigned) {
		l.Content, err = file, nil
	}
	l.Format = FormatOf(path, l.Content)
	return file, l, err
}

// FormatOf returns the format of a list, by its content or, if that is not clear, by its name.
func FormatOf(path string, body []byte) string {
	if bytes.HasPrefix(body, []byte(header.Magic)) {
		return digestlist.FormatRPM
	}
	if _, _, format, _, err := digestlist.ParseName(filepath.Base(path)); err == nil && format == digestlist.FormatRPM {
		return format
	}
	return digestlist.FormatTLV
}
