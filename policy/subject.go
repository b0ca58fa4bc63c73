// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
)

// MaxTicket and MaxReason bound the texts of a denial, in bytes.
const (
	MaxTicket = 256
	MaxReason = 1024
)

// deniable are the algorithms of digests in lists, by which contents can be denied.
var deniable = []digestlist.Algo{digestlist.SHA256, digestlist.SHA384, digestlist.SHA512}

// ParseSubject parses the subject of a denial: digests of one content, separated by commas and
// written "algorithm:digits" or as digits alone; or a package as "name" or "name.arch", either
// with "<[epoch:]version[-release]", or a NEVRA. known reports whether digestd has ever seen a
// package of that name.
func ParseSubject(text string, known func(name string) bool) (Denial, error) {
	if contents, err := ParseContents(text); err != nil {
		return Denial{}, err
	} else if contents != nil {
		return Denial{Contents: contents}, nil
	}
	r, err := parseRange(text, known)
	if err != nil {
		return Denial{}, fmt.Errorf("cannot read %.80q: %w", text, err)
	}
	return Denial{Package: r}, nil
}

// ParseContents parses the digests of one content. It returns nil if text has none.
func ParseContents(text string) ([]Content, error) {
	var contents []Content
	for part := range strings.SplitSeq(text, ",") {
		c, ok, err := parseContent(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("cannot read digest %.160q: %w", part, err)
		}
		if !ok {
			if contents != nil {
				return nil, fmt.Errorf("cannot read %.80q: it is no digest", part)
			}
			return nil, nil
		}
		contents = append(contents, c)
	}
	contents = sortedContents(contents)
	for i := range contents {
		if i > 0 && contents[i-1].Algo == contents[i].Algo {
			return nil, fmt.Errorf("cannot deny two %s digests as one content", contents[i].Algo)
		}
	}
	return contents, nil
}

func parseContent(text string) (c Content, ok bool, err error) {
	name, digits, named := strings.Cut(text, ":")
	if !named {
		digits = text
	}
	digits = strings.ToLower(digits)
	raw, bad := hex.DecodeString(digits)
	for _, algo := range deniable {
		if named && name == algo.String() {
			if bad != nil || len(raw) != algo.Size() {
				return c, false, fmt.Errorf("want %d hexadecimal digits after %q", 2*algo.Size(), algo.String()+":")
			}
			return Content{algo, string(raw)}, true, notEmpty(algo, raw)
		}
		if !named && bad == nil && len(raw) == algo.Size() {
			return Content{algo, string(raw)}, true, notEmpty(algo, raw)
		}
	}
	if named && slices.Contains([]string{"md5", "sha1", "sha224"}, name) {
		return c, false, errors.New("lists do not use that algorithm: give sha256, sha384 or sha512")
	}
	return c, false, nil
}

// notEmpty refuses the digest of the empty file: many packages contain one, and it is harmless.
func notEmpty(algo digestlist.Algo, digest []byte) error {
	var none []byte
	switch algo {
	case digestlist.SHA256:
		sum := sha256.Sum256(nil)
		none = sum[:]
	case digestlist.SHA384:
		sum := sha512.Sum384(nil)
		none = sum[:]
	case digestlist.SHA512:
		sum := sha512.Sum512(nil)
		none = sum[:]
	}
	if string(none) == string(digest) {
		return errors.New("it is the digest of every empty file")
	}
	return nil
}

func parseRange(text string, known func(name string) bool) (r Range, err error) {
	name, bound, bounded := strings.Cut(text, "<")
	if bounded {
		if r.Below, err = ParseBound(strings.TrimSpace(bound)); err != nil {
			return r, err
		}
	} else if pkg, err := nevra.Parse(text); err == nil && !known(text) && (pkg.Epoch > 0 || unicode.IsDigit(rune(pkg.Version[0]))) {
		if name, _, ok := cutArch(text); !ok || !known(name) {
			return Range{Name: pkg.Name, Arch: pkg.Arch, Exact: pkg.EVR}, nil
		}
	}
	r.Name = strings.TrimSpace(name)
	if before, arch, ok := cutArch(r.Name); ok && !known(r.Name) && (known(before) || slices.Contains(archs, arch)) {
		r.Name, r.Arch = before, arch
	}
	return r, r.valid()
}

func cutArch(name string) (before, arch string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func (r Range) valid() error {
	arch := r.Arch
	if arch == "" {
		arch = "noarch"
	}
	return nevra.NEVRA{Name: r.Name, EVR: nevra.EVR{Version: "0", Release: "0"}, Arch: arch}.Valid()
}

// ParseBound parses "[epoch:]version[-release]".
func ParseBound(text string) (nevra.EVR, error) {
	if strings.HasPrefix(text, "=") {
		return nevra.EVR{}, errors.New("\"<=\" is not known: name the first version that may be there")
	}
	if strings.Contains(text, "-") {
		return nevra.ParseEVR(text)
	}
	e, err := nevra.ParseEVR(text + "-0")
	e.Release = ""
	return e, err
}

// RangeOf makes a range of its parts as they are stored; below and exact may be "".
func RangeOf(name, arch, below, exact string) (r Range, err error) {
	r = Range{Name: name, Arch: arch}
	if below != "" && exact != "" {
		return r, errors.New("give either < or an exact version")
	}
	if below != "" {
		r.Below, err = ParseBound(below)
	}
	r.AnyEpoch = below+exact != "" && !strings.Contains(below+exact, ":")
	if exact != "" {
		r.Exact, err = nevra.ParseEVR(exact)
	}
	if err == nil && exact != "" && arch == "" {
		err = errors.New("one version needs an architecture")
	}
	if err == nil {
		err = r.valid()
	}
	return r, err
}

// BoundText returns e in the form that ParseBound reads, "" for none.
func BoundText(e nevra.EVR) string { return strings.TrimSuffix(e.String(), "-") }
