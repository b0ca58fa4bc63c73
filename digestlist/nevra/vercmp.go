// SPDX-License-Identifier: Apache-2.0

package nevra

import (
	"cmp"
	"strings"
)

// Vercmp compares two versions, or two releases, in rpm's order (rpm
// documentation, "Dependencies", and rpmio/rpmvercmp.c): -1, 0 or +1.
//
// A text is a row of segments, each all digits or all ASCII letters; whatever
// else stands between them separates and counts for nothing, but for '~',
// which sorts before everything, even the end, and '^', which sorts after the
// end but before any further segment. Different texts may compare as equal:
// "1.0" and "1_0", "01" and "1".
func Vercmp(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" || b != "" {
		a, b = trimSeparators(a), trimSeparators(b)

		ta, tb := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~")
		if ta != tb {
			return sign(tb, ta)
		}
		if ta {
			a, b = a[1:], b[1:]
			continue
		}

		ca, cb := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^")
		switch {
		case ca && cb:
			a, b = a[1:], b[1:]
			continue
		case ca:
			return sign(b == "", b != "")
		case cb:
			return sign(a != "", a == "")
		}

		if a == "" || b == "" {
			break
		}
		// The kind of a's segment decides; a number is newer than letters.
		kind := isLetter
		if isDigit(a[0]) {
			kind = isDigit
		}
		sa, sb := segment(a, kind), segment(b, kind)
		if sb == "" {
			return sign(isDigit(a[0]), isLetter(a[0]))
		}
		a, b = a[len(sa):], b[len(sb):]
		if isDigit(sa[0]) {
			sa, sb = strings.TrimLeft(sa, "0"), strings.TrimLeft(sb, "0")
			if c := cmp.Compare(len(sa), len(sb)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(sa, sb); c != 0 {
			return c
		}
	}
	return sign(a != "", b != "")
}

func trimSeparators(s string) string {
	for s != "" && !isDigit(s[0]) && !isLetter(s[0]) && s[0] != '~' && s[0] != '^' {
		s = s[1:]
	}
	return s
}

func segment(s string, kind func(byte) bool) string {
	i := 0
	for i < len(s) && kind(s[i]) {
		i++
	}
	return s[:i]
}

// rpm looks at bytes in the C locale: nothing beyond ASCII is a letter.
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func sign(more, less bool) int {
	switch {
	case more == less:
		return 0
	case more:
		return 1
	}
	return -1
}
