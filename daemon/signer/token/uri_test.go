// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/signer/token"
	"github.com/google/go-cmp/cmp"
)

var uris = map[string]token.URI{
	"pkcs11:token=digestd;object=lists?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/digestd/pin": {
		Token: "digestd", Object: "lists", Module: "/usr/lib/softhsm/libsofthsm2.so", PIN: "/etc/digestd/pin"},
	"pkcs11:token=a;object=b;id=%00%FF?module-path=/m.so": {Token: "a", Object: "b", ID: []byte{0, 0xff}, Module: "/m.so"},
	"pkcs11:token=My%20token;object=a%3Bb%2Fc%3F&d?module-path=/m%20n%26o.so": {
		Token: "My token", Object: "a;b/c?&d", Module: "/m n&o.so"},
	"pkcs11:token=Schl%C3%BCssel;object=%25=?module-path=/m.so": {Token: "Schlüssel", Object: "%=", Module: "/m.so"},
}

func TestURI(t *testing.T) {
	for text, want := range uris {
		got, err := token.ParseURI(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
		if again := got.String(); again != text {
			t.Errorf("%s\nis written %s", text, again)
		}
	}
}

// TestURIOtherSpellings: what the RFC lets one write in several ways.
func TestURIOtherSpellings(t *testing.T) {
	for text, want := range map[string]string{
		"pkcs11:object=b;token=%61?pin-source=/p&module-path=/m.so": "pkcs11:token=a;object=b?module-path=/m.so&pin-source=file:/p",
		"pkcs11:token=a;object=b;id=xy?module-path=%2fm.so":         "pkcs11:token=a;object=b;id=%78%79?module-path=/m.so",
	} {
		got, err := token.ParseURI(text)
		if err != nil || got.String() != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestURIRefused(t *testing.T) {
	const tail = "?module-path=/m.so"
	for text, want := range map[string]string{
		"":                                                         "does not begin with pkcs11:",
		"PKCS11:token=a;object=b" + tail:                           "does not begin with pkcs11:",
		"pkcs11:":                                                  "token= is missing",
		"pkcs11:token=a" + tail:                                    "object= is missing",
		"pkcs11:token=a;object=b":                                  "module-path= is missing",
		"pkcs11:token=a;object=b?":                                 "nothing follows",
		"pkcs11:token=a;token=b;object=b" + tail:                   "token appears twice",
		"pkcs11:token=a;object=b;" + tail:                          "is no attribute",
		"pkcs11:token=;object=b" + tail:                            "it is empty",
		"pkcs11:token=a;object=b;id=" + tail:                       "want 1 to 32 bytes",
		"pkcs11:token=a%2;object=b" + tail:                         "must be written %25",
		"pkcs11:token=a%zz;object=b" + tail:                        `"%zz" is no escape`,
		"pkcs11:token=a b;object=b" + tail:                         "must be written %20",
		"pkcs11:token=%FF;object=b" + tail:                         "not valid UTF-8",
		"pkcs11:token=a%0A;object=b" + tail:                        "control character",
		"pkcs11:token=a%20;object=b" + tail:                        "ends with a space",
		"pkcs11:token=" + strings.Repeat("a", 33) + ";object=b":    "longer than 32 bytes",
		"pkcs11:token=a;object=" + strings.Repeat("b", 3000):       "longer than 2048 bytes",
		"pkcs11:token=a;object=b;module-path=/m.so":                "module-path belongs after",
		"pkcs11:token=a?object=b&module-path=/m.so":                "object belongs before",
		"pkcs11:token=a;object=b?module-path=m.so":                 "want an absolute path",
		"pkcs11:token=a;object=b?module-path=/lib/../m.so":         "want an absolute path without detours",
		"pkcs11:token=a;object=b?module-path=/m.so%00":             "control character",
		"pkcs11:token=a;object=b?module-path=/m.so&pin-value=1234": "pin-source=file:/path",
		"pkcs11:token=a;object=b?module-name=softhsm":              "module-path=",
		"pkcs11:slot-id=3;object=b" + tail:                         "token=",
		"pkcs11:token=a;object=b;type=private" + tail:              `unknown attribute "type"`,
		"pkcs11:token=a;object=b?module-path=/m.so&pin-source=|pw": "want an absolute path",
	} {
		if got, err := token.ParseURI(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s:\n got %v, %v\nwant %s", text, got, err, want)
		}
	}
}

// FuzzURI: whatever is taken has one form, which is taken for the same.
func FuzzURI(f *testing.F) {
	for text := range uris {
		f.Add(text)
	}
	f.Add("pkcs11:token=a%2;id=?module-path=/..&pin-value=1")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := token.ParseURI(text)
		if err != nil {
			return
		}
		again, err := token.ParseURI(u.String())
		if err != nil && len(u.String()) > 2048 {
			return // escapes may need more room
		}
		if err != nil {
			t.Fatalf("%q is written %q: %v", text, u, err)
		}
		if diff := cmp.Diff(u, again); diff != "" {
			t.Error(diff)
		}
	})
}
