// SPDX-License-Identifier: Apache-2.0

// Package metadata reads the metadata of package repositories: repomd.xml, which lists the other
// files with their digests; primary.xml, which lists the packages; and the streams of modules.
//
// Memory and time are bounded for every input. No statement of a file is trusted: digests are
// compared, and names lead to no other directory.
package metadata

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/digestd/digestd/repo/xmlscan"
)

// MaxRepomd bounds repomd.xml, in bytes.
const MaxRepomd = 4 << 20

const (
	maxFiles = 256 // that repomd.xml lists
	maxName  = 255
	maxSize  = 1 << 30 // of a file, in bytes
)

// Repomd is the content of repomd.xml.
type Repomd struct {
	Made  time.Time // time of its newest file, zero if unknown
	Files map[string]File
}

// File is a file in repomd.xml.
type File struct {
	Name string    `json:"name"` // in the directory of repomd.xml
	Size int64     `json:"size"` // size in bytes, compressed; 0: unknown
	Algo string    `json:"algo"` // of Sum: sha256, sha384, sha512
	Sum  string    `json:"sum"`  // hexadecimal
	Made time.Time `json:"made,omitzero"`
}

// ReadRepomd reads repomd.xml.
func ReadRepomd(r io.Reader) (m Repomd, err error) {
	s := xmlscan.New(r, MaxRepomd)
	m.Files = map[string]File{}
	var kind, text string
	var now File
	for {
		t, err := s.Next()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err == nil {
			switch {
			case t.Kind == xmlscan.Text:
				if text += string(t.Text); len(text) > 2*maxName {
					err = errors.New("a text is too long")
				}
			case t.Kind == xmlscan.Start:
				text = ""
				err = startOf(s, t, &kind, &now)
			default:
				if err = now.end(string(t.Name), strings.TrimSpace(text)); err == nil && string(t.Name) == "data" {
					err = m.add(kind, now)
				}
				text = ""
			}
		}
		if err != nil {
			return m, fmt.Errorf("cannot read repomd.xml, line %d: %w", s.Line(), err)
		}
	}
}

func startOf(s *xmlscan.Scanner, t *xmlscan.Token, kind *string, now *File) error {
	s.KeepText(s.Depth() == 3) // of what belongs to a file
	switch {
	case s.Depth() == 1 && string(t.Name) != "repomd":
		return fmt.Errorf("it is about %.40q, not repomd", t.Name)
	case s.Depth() == 2 && string(t.Name) == "data":
		*kind, *now = t.Attr("type"), File{}
	case s.Depth() == 3 && string(t.Name) == "checksum":
		now.Algo = strings.ToLower(t.Attr("type"))
	case s.Depth() == 3 && string(t.Name) == "location":
		now.Name = path.Base(t.Attr("href"))
	}
	return nil
}

// end takes in the text of an element that belongs to a file.
func (f *File) end(name, text string) error {
	switch name {
	case "checksum":
		f.Sum = strings.ToLower(text)
	case "size":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > maxSize {
			return fmt.Errorf("it lists a file of %.20q bytes, at most %d are read", text, maxSize)
		}
		f.Size = n
	case "timestamp":
		if sec, err := strconv.ParseFloat(text, 64); err == nil && sec > 0 && sec < 1<<36 {
			f.Made = time.Unix(int64(sec), 0).UTC()
		}
	}
	return nil
}

func (m *Repomd) add(kind string, f File) error {
	if len(m.Files) == maxFiles {
		return fmt.Errorf("it lists more than %d files", maxFiles)
	}
	if len(kind) > maxName || len(f.Name) > maxName || f.Name == "." || f.Name == "/" || f.Name == ".." || strings.ContainsAny(f.Name, "/\x00") {
		return fmt.Errorf("it lists a file of the name %.40q", f.Name)
	}
	m.Files[kind] = f
	if f.Made.After(m.Made) {
		m.Made = f.Made
	}
	return nil
}

// algorithms are the permitted digest algorithms. Weaker ones are refused.
var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// Checked reads a file and compares its size and digest with repomd.xml at the end.
type Checked struct {
	r    io.Reader
	file File
	h    hash.Hash
	n    int64
}

// Check returns a reader of f's content. It fails if repomd.xml has no digest of a permitted
// algorithm.
func Check(r io.Reader, f File) (*Checked, error) {
	make, known := algorithms[f.Algo]
	if !known {
		return nil, fmt.Errorf("repomd.xml has a digest of %s by %.20q, which does not count", f.Name, f.Algo)
	}
	return &Checked{r: io.LimitReader(r, maxSize+1), file: f, h: make()}, nil
}

func (c *Checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.h.Write(p[:n])
	c.n += int64(n)
	return n, err
}

// Done reads the rest of the file, and returns an error unless the file is the one in
// repomd.xml.
func (c *Checked) Done() error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	if c.file.Size > 0 && c.n != c.file.Size {
		return fmt.Errorf("%s has %d bytes, and repomd.xml lists it with %d", c.file.Name, c.n, c.file.Size)
	}
	if sum := hex.EncodeToString(c.h.Sum(nil)); sum != c.file.Sum {
		return fmt.Errorf("%s is not the file that repomd.xml lists: it has another digest", c.file.Name)
	}
	return nil
}
