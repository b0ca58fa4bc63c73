// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// seedCerts are certificates of several kinds.
func seedCerts(f *testing.F) (all [][]byte) {
	f.Helper()
	rsa, ec, v6, sub := rsaKey(), ecKey(packet.CurveNistP256), v6Key(packet.PubKeyAlgoEd25519), ecKey(packet.CurveNistP384)
	return [][]byte{
		cert(f, rsa, user("Builder <b@example.org>"), subkey(sub), bound(sub, nil), revokedSubkey(sub)),
		cert(f, rsa, revokedKey(because(packet.KeyRetired, "old")), altered(revokedKey(), set(3, 3)), user("x")),
		plain(f, ec), plain(f, v6), plain(f, legacyEd25519()),
	}
}

// FuzzParseCerts: whatever is imported, it is parsed or refused; what is parsed
// makes a keyring.
func FuzzParseCerts(f *testing.F) {
	for _, data := range seedCerts(f) {
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
	for _, data := range seedCerts(f) {
		c, err := pgp.ParseCerts(data)
		if err != nil {
			f.Fatal(err)
		}
		certs = append(certs, c...)
	}
	ec := ecKey(packet.CurveNistP256)
	for _, data := range [][]byte{sign(f, rsaKey()), signV3(f, rsaKey(), born.Add(day)), sign(f, ec)} {
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
