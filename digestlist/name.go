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

// MaxName bounds a list's name, in bytes: NAME_MAX, and what the kernel reads
// of security.digest_list.
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

// ParseName takes a file's name apart as the kernel does (kernel:
// security/integrity/digest_cache/dir.c): "[<seq>-]<format>-<rest>". A first
// part that begins with a digit and is a number of 32 bits is the sequence.
func ParseName(name string) (seq uint32, hasSeq bool, format, rest string, err error) {
	first, after, ok := strings.Cut(name, "-")
	if ok && first != "" && '0' <= first[0] && first[0] <= '9' {
		if n, err := strconv.ParseUint(first, 10, 32); err == nil {
			seq, hasSeq = uint32(n), true
			first, after, ok = strings.Cut(after, "-")
		}
	}
	if !ok || first == "" {
		return 0, false, "", "", syntax(0, "name", "%q is not [<seq>-]<format>-<name>", name)
	}
	return seq, hasSeq, first, after, nil
}
