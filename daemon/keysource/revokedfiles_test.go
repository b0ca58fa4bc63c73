// SPDX-License-Identifier: Apache-2.0

package keysource

import (
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/rpmdb/pgp"
)

func TestParseRevoked(t *testing.T) {
	v4, v6 := strings.Repeat("0a", 20), strings.Repeat("0b", 32)
	for text, want := range map[string][]string{
		v4:                         {v4},
		strings.ToUpper(v4) + "\n": {v4},
		"0x" + v4:                  {v4},
		v4 + " # stolen\n\n" + v6:  {v4, v6},
		"# nothing\n":              nil,
		"0A0A 0A0A 0A0A 0A0A 0A0A  0A0A 0A0A 0A0A 0A0A 0A0A": {v4},
	} {
		if got, err := parseRevoked([]byte(text), nil); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{v4[1:], v4 + v4, "not a fingerprint\n", v4 + "\ngarbage\n", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "\x00\x01\x02"} {
		if got, err := parseRevoked([]byte(text), nil); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseRevoked(f *testing.F) {
	f.Add([]byte(strings.Repeat("0a", 20)))
	f.Add([]byte("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n"))
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		prints, err := parseRevoked(data, nil)
		if err != nil {
			return
		}
		for _, p := range prints {
			if pgp.ParseFingerprint(p) != p {
				t.Errorf("%q is no fingerprint", p)
			}
		}
	})
}
