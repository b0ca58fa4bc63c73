// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
)

// Parts of a package file (rpm documentation, "RPM V4 package format").
const (
	leadSize  = 96
	introSize = 16       // magic, four bytes, two lengths
	maxRegion = 62 << 20 // as the plugin of rpm has it
)

// headerOf reads from a package file what rpm's plugin would say of the package.
func headerOf(path string) (*wire.Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := readHeaders(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read package %s: %w", path, err)
	}
	return m, nil
}

func readHeaders(in io.Reader) (*wire.Header, error) {
	if _, err := io.CopyN(io.Discard, in, leadSize); err != nil {
		return nil, err
	}
	blob, err := readHeader(in)
	if err != nil {
		return nil, err
	}
	signatures, err := header.Parse(blob)
	if err != nil {
		return nil, err
	}
	// The signature header is padded to a multiple of 8.
	if _, err := io.CopyN(io.Discard, in, int64(-len(blob)&7)); err != nil {
		return nil, err
	}
	if blob, err = readHeader(in); err != nil {
		return nil, err
	}
	h, err := header.Parse(blob)
	if err != nil {
		return nil, err
	}
	region, err := h.Immutable()
	return &wire.Header{Type: wire.Added, Region: region, Signatures: signatures.Signatures()}, err
}

// readHeader reads one header, and returns it without its magic.
func readHeader(in io.Reader) ([]byte, error) {
	var intro [introSize]byte
	if _, err := io.ReadFull(in, intro[:]); err != nil {
		return nil, err
	}
	if string(intro[:8]) != header.Magic {
		return nil, errors.New("no header where one should be")
	}
	entries, data := uint64(binary.BigEndian.Uint32(intro[8:])), uint64(binary.BigEndian.Uint32(intro[12:]))
	size := 16*entries + data
	if size > maxRegion {
		return nil, fmt.Errorf("header of %d bytes", size)
	}
	// A length is a claim: memory grows with what is there.
	rest, err := io.ReadAll(io.LimitReader(in, int64(size)))
	if err == nil && uint64(len(rest)) < size {
		err = io.ErrUnexpectedEOF
	}
	return append(intro[8:], rest...), err
}

// find looks for the file that dnf5 has downloaded: below the cache, in the
// directory of the repository, whose name ends with a digest.
func find(cache string, p pkg) string {
	if filepath.IsAbs(p.Location) {
		return p.Location
	}
	directories, err := os.ReadDir(cache)
	if err != nil || p.Location == "" {
		return ""
	}
	for _, f := range directories {
		if rest, ok := strings.CutPrefix(f.Name(), p.Repo+"-"); ok && !strings.Contains(rest, "-") {
			file := filepath.Join(cache, f.Name(), "packages", filepath.Base(p.Location))
			if _, err := os.Stat(file); err == nil {
				return file
			}
		}
	}
	return ""
}
