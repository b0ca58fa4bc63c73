// SPDX-License-Identifier: Apache-2.0

// Package token defines the protocol between digestd and digestd-pkcs11: how to name a key in a
// PKCS#11 token (RFC 7512), where its PIN may be, and the frames of requests for signatures.
//
// Parsed values are bounded and unambiguous: a URI names one key or one place, or is an error.
// The package loads no module and starts no program.
package token

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Scheme begins the URI of a PKCS#11 key.
const Scheme = "pkcs11:"

const (
	maxURI    = 2048
	maxToken  = 32 // CK_TOKEN_INFO.label, PKCS#11 §3.2
	maxObject = 64 // CKA_LABEL; PKCS#11 has no bound
	maxID     = 32 // CKA_ID; likewise
	maxPath   = 512
)

// URI names a key in a token or, without ID, a place for new keys. It is the unambiguous part of
// RFC 7512: it names token and object by their labels, and the module by its path. It never
// contains a PIN, only the path of a file with a PIN.
type URI struct {
	Token  string // label of the token
	Object string // label of the key; a prefix for new keys
	ID     []byte // CKA_ID; nil for a place
	Module string // absolute path of the module
	PIN    string // absolute path of the file with the user's PIN; "" logs in to nothing
}

// attribute is an attribute that a URI may have. The table has the order in which String writes
// them.
type attribute struct {
	name  string
	query bool
	get   func(*URI) string
	set   func(*URI, string) error
}

var attributes = []attribute{
	{"token", false, func(u *URI) string { return u.Token }, func(u *URI, v string) error {
		u.Token = v
		return label(v, maxToken)
	}},
	{"object", false, func(u *URI) string { return u.Object }, func(u *URI, v string) error {
		u.Object = v
		return label(v, maxObject)
	}},
	{"id", false, func(u *URI) string { return string(u.ID) }, func(u *URI, v string) error {
		u.ID = []byte(v)
		if len(v) == 0 || len(v) > maxID {
			return fmt.Errorf("want 1 to %d bytes", maxID)
		}
		return nil
	}},
	{"module-path", true, func(u *URI) string { return u.Module }, func(u *URI, v string) error {
		u.Module = v
		return absolute(v)
	}},
	{"pin-source", true, func(u *URI) string { return u.PIN }, func(u *URI, v string) error {
		u.PIN = strings.TrimPrefix(v, "file:")
		return absolute(u.PIN)
	}},
}

// advice has, for attributes of RFC 7512 that digestd refuses, what to use instead.
var advice = map[string]string{
	"pin-value":   "a PIN in the configuration is no secret: put it into a file and give pin-source=file:/path",
	"module-name": "give module-path=/path/of/the/module.so",
	"slot-id":     "slots are numbered again at every start: name the token by token=",
}

// ParseURI reads a URI. Each attribute appears at most once; token, object and module-path are
// required.
func ParseURI(text string) (URI, error) {
	var u URI
	fail := func(format string, args ...any) (URI, error) {
		return URI{}, fmt.Errorf("cannot read PKCS#11 URI: "+format, args...)
	}
	if len(text) > maxURI {
		return fail("it is longer than %d bytes", maxURI)
	}
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return fail("%.40q does not begin with %s", text, Scheme)
	}
	path, query, hasQuery := strings.Cut(rest, "?")
	if hasQuery && query == "" {
		return fail("nothing follows the question mark")
	}
	seen := map[string]bool{}
	for _, part := range []struct {
		text, separator string
		query           bool
	}{{path, ";", false}, {query, "&", true}} {
		if part.text == "" {
			continue
		}
		for item := range strings.SplitSeq(part.text, part.separator) {
			name, raw, ok := strings.Cut(item, "=")
			if !ok {
				return fail("%.40q is no attribute: want name=value", item)
			}
			a, err := find(name, part.query)
			if err != nil {
				return fail("%w", err)
			}
			if seen[name] {
				return fail("%s appears twice", name)
			}
			seen[name] = true
			value, err := unescape(raw, a.query)
			if err == nil {
				err = a.set(&u, value)
			}
			if err != nil {
				return fail("%s=%.80s: %w", name, raw, err)
			}
		}
	}
	for _, name := range []string{"token", "object", "module-path"} {
		if !seen[name] {
			return fail("%s= is missing", name)
		}
	}
	return u, nil
}

func find(name string, query bool) (*attribute, error) {
	for i, a := range attributes {
		switch {
		case a.name != name:
		case a.query != query && query:
			return nil, fmt.Errorf("%s belongs before the question mark", name)
		case a.query != query:
			return nil, fmt.Errorf("%s belongs after the question mark", name)
		default:
			return &attributes[i], nil
		}
	}
	if hint := advice[name]; hint != "" {
		return nil, fmt.Errorf("%s is not accepted: %s", name, hint)
	}
	return nil, fmt.Errorf("unknown attribute %.40q", name)
}

// String returns the URI in the form that ParseURI reads.
func (u URI) String() string {
	var b strings.Builder
	b.WriteString(Scheme)
	separators := map[bool]string{false: "", true: "?"}
	for _, a := range attributes {
		value := a.get(&u)
		if value == "" {
			continue
		}
		b.WriteString(separators[a.query])
		separators[false], separators[true] = ";", either(a.query, "&", "?")
		b.WriteString(a.name)
		b.WriteByte('=')
		switch a.name {
		case "id": // RFC 7512 escapes every byte
			for _, c := range u.ID {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		case "pin-source":
			b.WriteString("file:")
			fallthrough
		default:
			escape(&b, value, a.query)
		}
	}
	return b.String()
}

func either(which bool, a, b string) string {
	if which {
		return a
	}
	return b
}

// Key names the key, for people.
func (u URI) Key() string {
	if u.ID == nil {
		return fmt.Sprintf("a new key in token %q", u.Token)
	}
	return fmt.Sprintf("key %q (id %s) in token %q", u.Object, hex.EncodeToString(u.ID), u.Token)
}

func label(v string, most int) error {
	switch {
	case v == "":
		return errors.New("it is empty")
	case len(v) > most:
		return fmt.Errorf("it is longer than %d bytes", most)
	case !utf8.ValidString(v):
		return errors.New("it is not valid UTF-8")
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("it contains a control character")
	case strings.HasSuffix(v, " "):
		return errors.New("it ends with a space, with which tokens pad their labels")
	}
	return nil
}

func absolute(v string) error {
	switch {
	case len(v) > maxPath:
		return fmt.Errorf("it is longer than %d bytes", maxPath)
	case strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }):
		return errors.New("it contains a control character")
	case !filepath.IsAbs(v) || filepath.Clean(v) != v:
		return errors.New("want an absolute path without detours")
	}
	return nil
}

// plain reports whether a byte needs no escape, before or after the question mark (RFC 7512
// §2.3: pk11-pchar, pk11-qchar).
func plain(c byte, query bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~:[]@!$'()*+,=", c) >= 0:
		return true
	case query:
		return c == '/' || c == '?' || c == '|'
	}
	return c == '&'
}

func escape(b *strings.Builder, value string, query bool) {
	for i := range len(value) {
		if c := value[i]; plain(c, query) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

func unescape(raw string, query bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case plain(c, query):
			b.WriteByte(c)
		case c == '%' && i+2 < len(raw):
			decoded, err := hex.DecodeString(raw[i+1 : i+3])
			if err != nil {
				return "", fmt.Errorf("%q is no escape", raw[i:i+3])
			}
			b.Write(decoded)
			i += 2
		default:
			return "", fmt.Errorf("%q must be written %%%02X", c, c)
		}
	}
	return b.String(), nil
}
