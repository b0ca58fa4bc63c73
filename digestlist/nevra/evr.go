// SPDX-License-Identifier: Apache-2.0

package nevra

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// EVR is the full version of a package: epoch, version, release. A missing epoch is 0, as in
// rpm's comparison. The zero EVR stands for none.
type EVR struct {
	Epoch            uint32
	Version, Release string
}

// IsZero reports whether e is none.
func (e EVR) IsZero() bool { return e == EVR{} }

// String returns "epoch:version-release", the epoch always written, and "" for
// the zero EVR.
func (e EVR) String() string {
	if e.IsZero() {
		return ""
	}
	return string(e.append(make([]byte, 0, len(e.Version)+len(e.Release)+12)))
}

func (e EVR) append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, uint64(e.Epoch), 10), ':')
	dst = append(append(dst, e.Version...), '-')
	return append(dst, e.Release...)
}

// Compare orders a before, with or after b: -1, 0 or +1. Epochs decide first,
// then versions, then releases, each in Vercmp's order.
func Compare(a, b EVR) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), Vercmp(a.Version, b.Version), Vercmp(a.Release, b.Release))
}

// ParseEVR reads "[epoch:]version-release".
func ParseEVR(s string) (EVR, error) {
	e, err := splitEVR(s)
	if err == nil {
		err = e.valid()
	}
	if err != nil {
		return EVR{}, fmt.Errorf("cannot read version %q: %w", clip(s), err)
	}
	return e, nil
}

func splitEVR(s string) (e EVR, err error) {
	if epoch, rest, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil {
			return e, fmt.Errorf("the epoch before ':' is not a number below 2^32")
		}
		e.Epoch, s = uint32(n), rest
	}
	version, release, ok := cutLast(s, '-')
	if !ok {
		return e, fmt.Errorf("no '-' between version and release")
	}
	e.Version, e.Release = version, release
	return e, nil
}

// MarshalText returns String.
func (e EVR) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText parses the result of MarshalText; an empty text is the zero EVR.
func (e *EVR) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*e = EVR{}
		return nil
	}
	parsed, err := ParseEVR(string(text))
	if err == nil {
		*e = parsed
	}
	return err
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// clip keeps a text from outside short enough for an error.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
