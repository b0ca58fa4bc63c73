// SPDX-License-Identifier: Apache-2.0

// Package imalog reads the kernel's IMA measurement list, in both forms of securityfs:
// ascii_runtime_measurements and binary_runtime_measurements.
//
// It returns an entry for each measured file, in order, with the digest and the path that the
// kernel recorded. Errors name the place, and every length is checked before it is used. The
// kernel writes '_' for a space in a path, so a path with spaces cannot be distinguished from
// one with underscores. Entries that are not about files (boot_aggregate, keys, buffers) have a
// Path without a leading '/'.
//
// It does not replay registers: a verifier has to decide whether the list is genuine.
package imalog

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/digestd/digestd/digestlist"
)

// Entry is one measurement.
type Entry struct {
	PCR      uint32
	Template string
	Algo     digestlist.Algo
	Digest   []byte // all zero for a violation
	Path     string
}

// Violation reports whether the file was open for writing while it was measured:
// its digest is unknown.
func (e Entry) Violation() bool { return len(bytes.Trim(e.Digest, "\x00")) == 0 }

// The bounds of the kernel: a path, and a template's data.
const (
	maxName = 64
	maxData = 1 << 20
)

// Parse calls fn for each entry of a list in either form, until fn returns an error, which Parse
// returns unchanged.
func Parse(list []byte, fn func(Entry) error) error {
	if len(list) == 0 {
		return nil
	}
	if '0' <= list[0] && list[0] <= '9' || list[0] == ' ' {
		// A binary list begins with a register below 48, "0", in four bytes.
		return parseText(list, fn)
	}
	return parseBinary(list, fn)
}

func parseText(list []byte, fn func(Entry) error) error {
	for n := 1; len(list) > 0; n++ {
		var line []byte
		line, list, _ = bytes.Cut(list, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		e, err := parseLine(string(line))
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// parseLine reads "PCR template-digest template field...".
func parseLine(line string) (e Entry, err error) {
	fields := strings.SplitN(strings.TrimLeft(line, " "), " ", 6)
	if len(fields) < 5 {
		return e, errors.New("want a register, a digest, a template, a digest and a path")
	}
	pcr, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return e, fmt.Errorf("%q is no register", fields[0])
	}
	e.PCR, e.Template, e.Path = uint32(pcr), fields[2], fields[4]
	algo, digits, named := strings.Cut(fields[3], ":")
	if !named {
		algo, digits = "sha1", fields[3]
	}
	// Newer templates say first what kind of digest it is: verity:sha256:...
	if kind, rest, ok := strings.Cut(digits, ":"); ok {
		algo, digits = kind, rest
	}
	if e.Algo, err = algoNamed(algo); err != nil {
		return e, err
	}
	if e.Digest, err = hex.DecodeString(digits); err != nil || len(e.Digest) != e.Algo.Size() {
		return e, fmt.Errorf("%q is no %s digest", digits, e.Algo)
	}
	return e, nil
}

func algoNamed(name string) (digestlist.Algo, error) {
	for a := digestlist.Algo(0); a.Size() > 0; a++ {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown algorithm %q", name)
}

// parseBinary reads 32-bit numbers as the kernel of a little-endian
// machine, or one with ima_canonical_fmt, writes them: register, 20 bytes of
// template digest, name, data.
func parseBinary(list []byte, fn func(Entry) error) error {
	for at := 0; at < len(list); {
		e, next, err := parseRecord(list, at)
		if err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
		if err := fn(e); err != nil {
			return err
		}
		at = next
	}
	return nil
}

var errShort = errors.New("the list ends within an entry")

// reader takes fields off a list.
type reader struct {
	b  []byte
	at int
}

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b)-r.at {
		return nil, errShort
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b, nil
}

func (r *reader) number() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// field takes what has its length before it.
func (r *reader) field(most uint32) ([]byte, error) {
	n, err := r.number()
	if err != nil {
		return nil, err
	}
	if n > most {
		return nil, fmt.Errorf("a field of %d bytes, at most %d are possible", n, most)
	}
	return r.take(int(n))
}

func parseRecord(list []byte, at int) (e Entry, next int, err error) {
	const sha1Size = 20
	r := &reader{list, at}
	if e.PCR, err = r.number(); err != nil {
		return e, 0, err
	}
	if _, err = r.take(sha1Size); err != nil {
		return e, 0, err
	}
	name, err := r.field(maxName)
	if err != nil {
		return e, 0, err
	}
	e.Template = string(name)
	if e.Template == "ima" {
		// The oldest template: a digest, and the path with its length.
		e.Algo = digestlist.SHA1
		if e.Digest, err = r.take(sha1Size); err != nil {
			return e, 0, err
		}
		path, err := r.field(maxData)
		e.Path = cString(path)
		return e, r.at, err
	}
	data, err := r.field(maxData)
	if err != nil {
		return e, 0, err
	}
	fields := &reader{data, 0}
	digest, err := fields.field(maxData)
	if err != nil {
		return e, 0, err
	}
	path, err := fields.field(maxData)
	if err != nil {
		return e, 0, err
	}
	e.Path = cString(path)
	return e, r.at, e.readDigest(digest)
}

// readDigest reads "algorithm:" NUL digest.
func (e *Entry) readDigest(b []byte) (err error) {
	name, digest, ok := bytes.Cut(b, []byte{0})
	if !ok || len(name) == 0 || name[len(name)-1] != ':' {
		return errors.New("a digest without an algorithm")
	}
	text := strings.TrimSuffix(string(name), ":")
	if _, rest, ok := strings.Cut(text, ":"); ok {
		text = rest
	}
	if e.Algo, err = algoNamed(text); err != nil {
		return err
	}
	if len(digest) != e.Algo.Size() {
		return fmt.Errorf("a %s digest of %d bytes", e.Algo, len(digest))
	}
	e.Digest = digest
	return nil
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
