// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/digestd/digestd/digestlist/nevra"
)

// Formats, as they stand in a list's name.
const (
	FormatTLV = "tlv"
	FormatRPM = "rpm"
)

// MaxName bounds a list's name, in bytes: it is NAME_MAX, and the limit of the kernel for
// security.digest_list.
const MaxName = 255

// PackageName returns the name of a package's list: its format, a '-' and its
// NEVRA with the epoch, so that no two versions share one. A name that would
// be longer than MaxName is cut and ends with '~' and a hash of the whole.
func PackageName(format string, n nevra.NEVRA) (string, error) {
	if format != FormatTLV && format != FormatRPM {
		return "", fmt.Errorf("cannot name a list of the unknown format %q", format)
	}
	if err := n.Valid(); err != nil {
		return "", fmt.Errorf("cannot name the list of %q: %w", n.Name, err)
	}
	name := format + "-" + n.Full()
	if len(name) <= MaxName {
		return name, nil
	}
	const hashed = 16 // bytes
	sum := sha256.Sum256([]byte(name))
	cut := MaxName - 1 - 2*hashed
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "~" + hex.EncodeToString(sum[:hashed]), nil
}

// ParseName splits a file's name as the kernel does (kernel:
// security/integrity/digest_cache/dir.c): "[<seq>-]<format>-<rest>". The kernel skips any first
// part that begins with a digit. If that part is a number of 32 bits, it is the sequence number,
// which orders the lists.
func ParseName(name string) (seq uint32, hasSeq bool, format, rest string, err error) {
	first, after, ok := strings.Cut(name, "-")
	if ok && first != "" && '0' <= first[0] && first[0] <= '9' {
		if n, err := strconv.ParseUint(first, 10, 32); err == nil {
			seq, hasSeq = uint32(n), true
		}
		first, after, ok = strings.Cut(after, "-")
	}
	if !ok || first == "" {
		return 0, false, "", "", syntax(0, "name", "%q is not [<seq>-]<format>-<name>", name)
	}
	return seq, hasSeq, first, after, nil
}

// maxOwnName bounds the name of an own list: far below a file name's bound, so
// that it is never cut.
const maxOwnName = 64

// OwnName returns the file name of an own list. No package's list can have it: their names
// contain a ':' or, if they are cut, are longer.
func OwnName(name string) (string, error) {
	if name == "" || len(name) > maxOwnName {
		return "", fmt.Errorf("the name of an own list has 1 to %d characters, %q has %d", maxOwnName, name, len(name))
	}
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._+-", rune(c))) {
			return "", fmt.Errorf("the name of an own list has letters, digits and ._+- only and begins with a letter or digit: %q", name)
		}
	}
	return FormatTLV + "-own-" + name, nil
}

// Sequenced returns a list's name with the sequence number seq before it, or the name alone if
// the result would be too long.
func Sequenced(seq uint32, name string) string {
	with := strconv.FormatUint(uint64(seq), 10) + "-" + name
	if len(with) > MaxName {
		return name
	}
	return with
}

// WithoutSequence returns a list's name without the number before it.
func WithoutSequence(name string) string {
	if _, has, format, rest, err := ParseName(name); err == nil && has {
		return format + "-" + rest
	}
	return name
}
