// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/digestd/digestd/rpmdb/pgp"
)

// altered is a signature packet with some bytes of its body changed.
func altered(p part, change func(body []byte) []byte) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		b := change(bytes.Clone(body(t, p(t, key))))
		return packetOf(2, b)
	}
}

// set changes one byte of a body.
func set(at int, to byte) func([]byte) []byte {
	return func(b []byte) []byte { b[at] = to; return b }
}

// unknownCritical adds a critical subpacket of a private type to the hashed ones.
func unknownCritical(b []byte) []byte {
	n := binary.BigEndian.Uint16(b[4:])
	binary.BigEndian.PutUint16(b[4:], n+3)
	end := 6 + int(n)
	return append(b[:end:end], append([]byte{2, 0x80 | 105, 0}, b[end:]...)...)
}

// revocationV3 is of the form that the OpenPGP library does not know.
func revocationV3(kind byte, id uint64) part {
	return func(testing.TB, *packet.PrivateKey) []byte {
		b := append([]byte{3, 5, kind}, 0x65, 0x92, 0, 0x80)
		b = binary.BigEndian.AppendUint64(b, id)
		return packetOf(2, append(b, 1, 8, 0, 0, 0, 8, 0xff))
	}
}

// nameless is key as one that names no issuer in what it signs.
func nameless(key *packet.PrivateKey) *packet.PrivateKey { return posing(key, 4, 0, nil) }

// TestUnreadableRevocations: a revocation that cannot be verified counts as a hard one
// where it names the key as its issuer; else nothing new comes under that key.
func TestUnreadableRevocations(t *testing.T) {
	key, other, sub := rsaKey(), ecKey(packet.CurveNistP256), ecKey(packet.CurveNistP384)
	const none, hard, held = "", "revoked", "held"
	id := fmt.Sprintf("%x", key.Fingerprint)
	with := func(p part) []part { return []part{p, user("x"), subkey(sub), bound(sub, nil)} }
	onSub := func(p part) []part { return []part{user("x"), subkey(sub), bound(sub, nil), p} }
	for _, test := range []struct {
		name         string
		parts        []part
		primary, sub string
		reason       string
	}{
		{"RIPEMD-160", with(altered(revokedKey(), set(3, 3))), hard, hard, "hash algorithm 3"},
		{"RIPEMD-160, soft by its reason", with(altered(revokedKey(because(packet.KeyRetired, "")), set(3, 3))), hard, hard, "hash algorithm 3"},
		{"MD5", with(altered(revokedKey(), set(3, 1))), hard, hard, "MD5"},
		{"algorithm", with(altered(revokedKey(), set(2, 99))), hard, hard, "99"},
		{"version 5", with(altered(revokedKey(), set(0, 5))), hard, hard, ""},
		{"version 3", with(revocationV3(0x20, key.KeyId)), hard, hard, "version 3"},
		{"critical notation", with(revokedKey(notation(true))), hard, hard, "critical notation"},
		{"critical subpacket", with(altered(revokedKey(), unknownCritical)), hard, hard, "subpacket"},
		{"cut short", with(altered(revokedKey(), func(b []byte) []byte { return b[:len(b)-20] })), hard, hard, "cut short"},
		{"after the user ID", []part{user("x"), altered(revokedKey(), set(3, 3)), subkey(sub), bound(sub, nil)}, hard, hard, ""},

		{"version 9", with(altered(revokedKey(), set(0, 9))), held, held, "version 9"},
		{"without an issuer", with(altered(by(nameless(key), revokedKey()), set(3, 3))), held, held, "hash algorithm 3"},
		{"by another", with(by(posing(other, 4, other.KeyId, other.Fingerprint), altered(revokedKey(), set(3, 3)))), held, held, ""},
		{"version 3 by another", with(revocationV3(0x20, other.KeyId)), held, held, ""},
		{"of a user ID", []part{user("x"), altered(revokedUser("x"), set(3, 3)), subkey(sub), bound(sub, nil)}, held, held, ""},

		{"of the subkey", onSub(altered(revokedSubkey(sub), set(3, 3))), none, hard, "hash algorithm 3"},
		{"of the subkey, notation", onSub(revokedSubkey(sub, notation(true))), none, hard, "critical notation"},
		{"of the subkey, version 3", onSub(revocationV3(0x28, key.KeyId)), none, hard, "version 3"},
		{"of the subkey, without an issuer", onSub(altered(by(nameless(key), revokedSubkey(sub)), set(3, 3))), none, held, ""},
		{"of the subkey, by another", onSub(revocationV3(0x28, other.KeyId)), none, held, ""},
		{"of no subkey", with(revocationV3(0x28, key.KeyId)), held, held, ""},

		// These are read, and found wrong or to say nothing of the key.
		{"forged", with(altered(revokedKey(), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })), none, none, ""},
		{"another's certification", []part{user("x"), revocationV3(0x30, other.KeyId), subkey(sub), bound(sub, nil)}, none, none, ""},
		{"a certification", []part{user("x"), revocationV3(0x13, key.KeyId), subkey(sub), bound(sub, nil)}, none, none, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			certs := parse(t, cert(t, key, test.parts...))
			var digests []string
			check := func(when string, ring *pgp.Keyring, key *packet.PrivateKey, want string) {
				t.Helper()
				result, err := ring.Verify(region, signatures(sign(t, key)), today)
				got := none
				switch {
				case err != nil && fmt.Sprintf("%T", err) == "*pgp.RevokedError":
					got = hard
				case err != nil:
					got = err.Error()
				case result.Held != "":
					got = held
				}
				if got != want {
					t.Errorf("%s: key %x is %q (%v), want %q", when, key.Fingerprint, got, err, want)
				}
				if text := fmt.Sprint(err, result); want != none && !strings.Contains(text, test.reason) {
					t.Errorf("%s: %s does not say %q", when, text, test.reason)
				}
			}
			ring := pgp.NewKeyring(certs...)
			check("at first", ring, key, test.primary)
			check("at first", ring, sub, test.sub)
			c := ring.Lookup(id)
			for _, u := range c.Unread {
				digests = append(digests, u.Digest)
				if u.Own != (test.primary == hard || test.primary == none && test.sub == hard) {
					t.Errorf("got %+v", u)
				}
			}
			if (len(digests) > 0) != (test.sub != none) {
				t.Errorf("unread: %+v", c.Unread)
			}
			// A second copy, which knows nothing, takes nothing back.
			plain := parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil)))
			ring = pgp.NewKeyring(append(plain, certs...)...)
			check("with a copy", ring, key, test.primary)
			check("with a copy", ring, sub, test.sub)
			// An administrator may know better.
			overruled := map[string]bool{}
			for _, d := range digests {
				overruled[d] = true
			}
			ring = pgp.Options{Overruled: overruled}.NewKeyring(certs...)
			check("overruled", ring, key, none)
			check("overruled", ring, sub, none)
			if left := ring.Lookup(id).Unread; len(left) > 0 {
				t.Errorf("overruled, and still there: %+v", left)
			}
		})
	}
}

// TestRevocationWithoutIssuerIsTried: it names nobody, and is the key's.
func TestRevocationWithoutIssuerIsTried(t *testing.T) {
	key := rsaKey()
	for name, issuer := range map[string]*packet.PrivateKey{"revoked": key, "<nil>": ecKey(packet.CurveNistP256)} {
		c := parse(t, cert(t, key, by(nameless(issuer), revokedKey()), user("x")))[0]
		if got := fmt.Sprint(c.Revoked); !strings.Contains(got, name) || c.Held != "" {
			t.Errorf("got %s, %q, want %s", got, c.Held, name)
		}
	}
}

// TestOverruledIsOneRevocation: what was overruled is one packet, not what comes later.
func TestOverruledIsOneRevocation(t *testing.T) {
	key := rsaKey()
	first, second := altered(revokedKey(), set(3, 3)), altered(revokedKey(at(born.Add(day))), set(3, 3))
	both := parse(t, cert(t, key, first, second, user("x")))
	if len(both[0].Unread) != 2 {
		t.Fatalf("got %+v", both[0].Unread)
	}
	o := pgp.Options{Overruled: map[string]bool{both[0].Unread[0].Digest: true}}
	if c := o.NewKeyring(both...).Certs()[0]; c.Revoked == nil || !c.Revoked.Unread || len(c.Unread) != 1 {
		t.Errorf("got %+v, %+v", c.Revoked, c.Unread)
	}
	// One that is proven is never overruled, and is the one that is told.
	proven := parse(t, cert(t, key, first, revokedKey(at(born.Add(9*day))), user("x")))
	for _, o := range []pgp.Options{{}, {Overruled: map[string]bool{proven[0].Unread[0].Digest: true}}} {
		if c := o.NewKeyring(proven...).Certs()[0]; c.Revoked == nil || c.Revoked.Unread {
			t.Errorf("got %+v", c.Revoked)
		}
	}
}

// TestGraverRevocation: of what the certificate says and what is known from elsewhere,
// the graver counts.
func TestGraverRevocation(t *testing.T) {
	key, sub := rsaKey(), ecKey(packet.CurveNistP256)
	soft := func(days int) *pgp.Revocation {
		return &pgp.Revocation{Time: born.AddDate(0, 0, days), Reason: "elsewhere"}
	}
	for _, test := range []struct {
		own, elsewhere int // days of a soft revocation; 0: none, -1: a hard one
		want           string
	}{
		{10, 0, "retired since 2024-01-11"},
		{0, 10, "elsewhere since 2024-01-11"},
		{10, 20, "retired since 2024-01-11"},
		{20, 10, "elsewhere since 2024-01-11"},
		{10, -1, "elsewhere since 2024-12-31"},
		{-1, 10, "compromised since 2024-12-31"},
		{-1, -1, "compromised since 2024-12-31"},
	} {
		const hardDay = 365
		var options []sigOption
		var elsewhere *pgp.Revocation
		switch {
		case test.own > 0:
			options = []sigOption{because(packet.KeyRetired, ""), at(born.AddDate(0, 0, test.own))}
		case test.own < 0:
			options = []sigOption{because(packet.KeyCompromised, ""), at(born.AddDate(0, 0, hardDay))}
		}
		switch {
		case test.elsewhere > 0:
			elsewhere = soft(test.elsewhere)
		case test.elsewhere < 0:
			elsewhere = soft(hardDay)
			elsewhere.Hard = true
		}
		for _, of := range []*packet.PrivateKey{key, sub} {
			parts := []part{user("x"), subkey(sub), bound(sub, nil)}
			switch {
			case options == nil:
			case of == sub:
				parts = append(parts, revokedSubkey(sub, options...))
			default:
				parts = append(parts, revokedKey(options...))
			}
			o := pgp.Options{Revoked: map[string]*pgp.Revocation{}}
			if elsewhere != nil {
				o.Revoked[fmt.Sprintf("%x", of.Fingerprint)] = elsewhere
			}
			c := o.NewKeyring(parse(t, cert(t, key, parts...))...).Certs()[0]
			got := c.Revoked
			if of == sub {
				got = c.Subkeys[0].Revoked
			}
			if !strings.Contains(fmt.Sprint(got), test.want) {
				t.Errorf("own %d, elsewhere %d: got %v, want %s", test.own, test.elsewhere, got, test.want)
			}
		}
	}
}
