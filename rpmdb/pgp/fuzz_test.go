// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

func seeds(f *testing.F, pattern string) (all [][]byte) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds %s (%v)", pattern, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// FuzzParseCerts: whatever is imported, it is parsed or refused; what is parsed
// makes a keyring.
func FuzzParseCerts(f *testing.F) {
	for _, data := range seeds(f, "*.key") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := pgp.ParseCerts(data)
		if err != nil {
			return
		}
		ring := pgp.NewKeyring(certs...)
		for _, c := range certs {
			if ring.Lookup(c.Fingerprint) == nil {
				t.Errorf("certificate %s is not in its keyring", c.Fingerprint)
			}
		}
	})
}

// FuzzVerify: no bytes but the real signature vouch for a header.
func FuzzVerify(f *testing.F) {
	var certs []*pgp.Cert
	for _, data := range seeds(f, "*.key") {
		c, err := pgp.ParseCerts(data)
		if err != nil {
			f.Fatal(err)
		}
		certs = append(certs, c...)
	}
	for _, data := range seeds(f, "*.sig") {
		f.Add(data)
	}
	ring, now := pgp.NewKeyring(certs...), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, sig []byte) {
		r, err := ring.Verify([]byte("nobody signed this"), []header.Signature{{Tag: header.TagRSAHeader, Data: sig}}, now)
		if err == nil {
			t.Errorf("%x vouches as %+v", sig, r)
		}
	})
}
