// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/digestd/digestd/rpmdb/pgp"
)

// TestNobodyAdoptsAKey: only a subkey that has agreed to it belongs to a certificate,
// and a primary key belongs to itself.
func TestNobodyAdoptsAKey(t *testing.T) {
	victim, thief, sub := ecKey(packet.CurveNistP256), rsaKey(), ecKey(packet.CurveNistP384)
	id := func(key *packet.PrivateKey) string { return fmt.Sprintf("%x", key.Fingerprint) }
	vendor := parse(t, cert(t, victim, user("vendor"), subkey(sub), bound(sub, nil)))
	adopt := func(key *packet.PrivateKey, parts ...part) []*pgp.Cert {
		return parse(t, cert(t, thief, append([]part{user("thief"), subkey(key)}, parts...)...))
	}
	unproven := adopt(victim, noBackSignature(victim))
	forged := adopt(victim, boundBack(victim, thief, nil))
	agreed := adopt(victim, bound(victim, nil))
	foreign := adopt(sub, noBackSignature(sub))
	removed := pgp.Options{Revoked: map[string]*pgp.Revocation{id(victim): {Hard: true, Reason: "removed"}}}

	for _, test := range []struct {
		name   string
		o      pgp.Options
		certs  []*pgp.Cert
		key    *packet.PrivateKey
		owner  []*pgp.Cert // nil: nobody
		verify string      // part of the error, "" if it vouches
	}{
		{"unproven", pgp.Options{}, unproven, victim, nil, "no back signature"},
		{"forged", pgp.Options{}, forged, victim, nil, "back signature of the subkey is bad"},
		{"unproven, of a key that was removed", removed, unproven, victim, nil, "removed"},
		{"agreed, of a key that was removed", removed, agreed, victim, agreed, "removed"},
		{"unproven, beside its owner", pgp.Options{}, append(unproven, vendor...), victim, vendor, ""},
		{"agreed, beside its owner", pgp.Options{}, append(agreed, vendor...), victim, vendor, ""},
		{"subkey, beside its owner", pgp.Options{}, append(foreign, vendor...), sub, vendor, ""},
		{"subkey, without its owner", pgp.Options{}, foreign, sub, nil, "no back signature"},
		{"agreed", pgp.Options{}, agreed, victim, agreed, ""},
		// The certificate's own revocation is not evaded by way of another one.
		{"agreed, and its owner is revoked", pgp.Options{},
			append(agreed, parse(t, cert(t, victim, revokedKey(), user("vendor")))...), victim, vendor, "revoked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ring := test.o.NewKeyring(test.certs...)
			want := ""
			if test.owner != nil {
				want = test.owner[0].Fingerprint
			}
			got := ""
			if c := ring.Lookup(id(test.key)); c != nil {
				got = c.Fingerprint
			}
			if got != want {
				t.Errorf("key %s belongs to %q, want %q", id(test.key), got, want)
			}
			if c := ring.Primary(id(sub)); c != nil {
				t.Errorf("a subkey is the primary key of %s", c.Fingerprint)
			}
			result, err := ring.Verify(region, signatures(sign(t, test.key)), today)
			if got := fmt.Sprint(err); (err == nil) != (test.verify == "") || err != nil && !strings.Contains(got, test.verify) {
				t.Errorf("got %v, want %q", err, test.verify)
			}
			if err == nil && result.Cert.Fingerprint != want {
				t.Errorf("%s vouches, want %s", result.Cert.Fingerprint, want)
			}
		})
	}
}

// TestTwoCertificatesHaveOneSubkey, which agreed to both: what one of them says of the
// key when it is compromised holds for the other.
func TestTwoCertificatesHaveOneSubkey(t *testing.T) {
	a, b, sub := rsaKey(), ecKey(packet.CurveNistP256), ecKey(packet.CurveNistP384)
	of := func(key *packet.PrivateKey, more ...part) *pgp.Cert {
		return parse(t, cert(t, key, append([]part{user("x"), subkey(sub), bound(sub, nil)}, more...)...))[0]
	}
	soft := revokedSubkey(sub, because(packet.KeyRetired, ""), at(born))
	for _, test := range []struct {
		name  string
		certs []*pgp.Cert
		want  string
	}{
		{"both", []*pgp.Cert{of(a), of(b)}, "<nil>"},
		{"compromised, says one", []*pgp.Cert{of(a, revokedSubkey(sub)), of(b)}, "*pgp.RevokedError"},
		{"compromised, says the other", []*pgp.Cert{of(a), of(b, revokedSubkey(sub))}, "*pgp.RevokedError"},
		{"no longer used by one", []*pgp.Cert{of(a, soft), of(b)}, "<nil>"},
		{"no longer used by the other", []*pgp.Cert{of(a), of(b, soft)}, "<nil>"},
		{"compromised, says who never had it", []*pgp.Cert{
			parse(t, cert(t, a, user("x"), subkey(sub), noBackSignature(sub), revokedSubkey(sub)))[0], of(b)}, "<nil>"},
	} {
		for range 4 { // whatever the order in a map
			if _, err := pgp.NewKeyring(test.certs...).Verify(region, signatures(sign(t, sub)), today); fmt.Sprintf("%T", err) != test.want {
				t.Errorf("%s: got %v, want %s", test.name, err, test.want)
			}
		}
	}
}
