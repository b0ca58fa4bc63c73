// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"bytes"
	"crypto"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/digestd/digestd/rpmdb/pgp"
)

// TestCertState looks at what certificates say of themselves, and whether a
// signature made a year after the key still vouches.
func TestCertState(t *testing.T) {
	const year = 365 * day
	var (
		retired     = because(packet.KeyRetired, "gone fishing")
		compromised = because(packet.KeyCompromised, "")
	)
	for _, test := range []struct {
		name    string
		parts   []part
		expires time.Time
		revoked *pgp.Revocation
		weak    string
		verify  string // part of the error, "" if it vouches
	}{
		{name: "plain", parts: []part{user("x")}},
		{name: "direct signature only", parts: []part{direct()}},
		{name: "no flags", parts: []part{user("x", withoutFlags)}},
		{name: "expires later", parts: []part{user("x", keyLives(2*year))}, expires: born.Add(2 * year)},
		{name: "expired before", parts: []part{user("x", keyLives(100*day))}, expires: born.Add(100 * day), verify: "key had expired when it signed"},
		{name: "extended after it had expired", parts: []part{user("x", keyLives(100*day)), user("x", at(born.Add(2*year)))}},
		{name: "only self-signature newer than the signature", parts: []part{user("x", at(born.Add(2*year)))}},
		{name: "shortened", parts: []part{user("x"), user("x", at(born.Add(day)), keyLives(100*day))}, expires: born.Add(100 * day), verify: "expired"},
		{name: "shortened, out of order", parts: []part{user("x", at(born.Add(day)), keyLives(100*day)), user("x")}, expires: born.Add(100 * day), verify: "expired"},
		{name: "self-signature expired", parts: []part{user("x", lives(100*day))}, expires: born.Add(100 * day), verify: "expired"},
		{name: "direct signature ends it", parts: []part{direct(keyLives(100 * day)), user("x")}, expires: born.Add(100 * day), verify: "expired"},
		{name: "certifies only", parts: []part{user("x", certifiesOnly)}, weak: "not meant for signing", verify: "not meant for signing"},
		{name: "SHA-1 self-signature", parts: []part{user("x", over(crypto.SHA1))}},
		{name: "no self-signature", parts: []part{userID("x")}, weak: "no self-signature", verify: "no self-signature"},
		{name: "nothing", weak: "no self-signature", verify: "no self-signature"},
		{name: "another's certification only", parts: []part{userID("x"), certifiedBy(ecKey(packet.CurveNistP256), "x")}, weak: "no self-signature", verify: "no self-signature"},
		{name: "forged self-signature", parts: []part{userID("x"), certifiedBy(posing(ecKey(packet.CurveNistP256), 4, rsaKey().KeyId, nil), "x")}, weak: "different algorithms", verify: "no valid self-signature"},
		{name: "self-signature of another user ID", parts: []part{user("x"), userID("y"), certifiedBy(nil, "x")}},
		{name: "MD5 self-signature", parts: []part{patched(user("x"), 2+1+3+3, 1)}, weak: "over MD5", verify: "over MD5"},
		{name: "version 3 self-signature", parts: []part{patched(user("x"), 2+1+3, 3)}, weak: "version 3", verify: "version 3"},
		{name: "damaged self-signature", parts: []part{patched(user("x"), -1, 0x55)}, weak: "RSA verification failure", verify: "no valid self-signature"},
		{name: "critical notation", parts: []part{user("x", notation(true))}, weak: "critical notation", verify: "critical notation"},
		{name: "retired later", parts: []part{revokedKey(retired, at(born.Add(2*year))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(2 * year), Reason: "key is retired", Text: "gone fishing"}},
		{name: "retired before", parts: []part{revokedKey(retired, at(born.Add(30*day))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(30 * day), Reason: "key is retired", Text: "gone fishing"},
			verify:  `key is retired since 2024-01-31T00:00:00Z ("gone fishing")`},
		{name: "retired at that moment", parts: []part{revokedKey(because(packet.KeySuperseded, ""), at(born.Add(year))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(year), Reason: "key is superseded"}, verify: "superseded"},
		{name: "retired, then used again", parts: []part{revokedKey(retired, at(born.Add(30*day))), user("x", at(born.Add(60*day)))},
			revoked: &pgp.Revocation{Time: born.Add(30 * day), Reason: "key is retired", Text: "gone fishing"}, verify: "retired"},
		{name: "compromised later", parts: []part{revokedKey(compromised, at(born.Add(2*year))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(2 * year), Hard: true, Reason: "key is compromised"}, verify: "compromised"},
		{name: "revoked without a reason", parts: []part{revokedKey(at(born.Add(2 * year))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(2 * year), Hard: true, Reason: "key is revoked without a reason"}, verify: "without a reason"},
		{name: "revoked for an unknown reason", parts: []part{revokedKey(because(77, ""), at(born.Add(2*year))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(2 * year), Hard: true, Reason: "key is revoked without a reason"}, verify: "without a reason"},
		{name: "revocation that expired", parts: []part{revokedKey(lives(day)), user("x")},
			revoked: &pgp.Revocation{Time: born, Hard: true, Reason: "key is revoked without a reason"}, verify: "revoked"},
		{name: "revocation over SHA-1", parts: []part{revokedKey(over(crypto.SHA1)), user("x")},
			revoked: &pgp.Revocation{Time: born, Hard: true, Reason: "key is revoked without a reason"}, verify: "revoked"},
		{name: "revocation at the end", parts: []part{user("x"), revokedKey()},
			revoked: &pgp.Revocation{Time: born, Hard: true, Reason: "key is revoked without a reason"}, verify: "revoked"},
		{name: "retired and compromised", parts: []part{revokedKey(retired), revokedKey(compromised, at(born.Add(2*year))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(2 * year), Hard: true, Reason: "key is compromised"}, verify: "compromised"},
		{name: "retired twice", parts: []part{revokedKey(retired, at(born.Add(2*year))), revokedKey(retired, at(born.Add(30*day))), user("x")},
			revoked: &pgp.Revocation{Time: born.Add(30 * day), Reason: "key is retired", Text: "gone fishing"}, verify: "retired"},
		{name: "revoked by another key", parts: []part{by(ecKey(packet.CurveNistP256), revokedKey()), user("x")}},
		{name: "forged revocation", parts: []part{patched(revokedKey(), -1, 0x55), user("x")}},
		{name: "user ID revoked", parts: []part{user("x"), revokedUser("x", at(born.Add(day)))}, weak: "all user IDs of the key are revoked", verify: "all user IDs"},
		{name: "user ID revoked and certified again", parts: []part{user("x"), revokedUser("x", at(born.Add(day))), user("x", at(born.Add(2*day)))}},
		{name: "one user ID of two revoked", parts: []part{user("y"), revokedUser("y"), user("x")}},
		{name: "favourite user ID", parts: []part{user("y", at(born.Add(day))), user("x", favourite)}},
		{name: "packets that say nothing", parts: []part{raw(0xc0|12, 0, 0), user("x"), raw(0xc0|10, 'P', 'G', 'P'), raw(0xc0|60, 1)}},
		{name: "user attribute", parts: []part{user("x"), raw(0xc0|17, 1, 1), certifiedBy(nil, "x")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := rsaKey()
			certs := parse(t, cert(t, key, test.parts...))
			if len(certs) != 1 {
				t.Fatalf("got %d certificates", len(certs))
			}
			c := certs[0]
			if c.Fingerprint != fmt.Sprintf("%x", key.Fingerprint) || c.KeyIDs[0] != key.KeyId || !c.Created.Equal(born) || c.Version != 4 || c.Algorithm != "rsa2048" {
				t.Errorf("got %+v", c)
			}
			if len(test.parts) > 0 && !strings.HasPrefix(test.name, "direct signature only") && c.UserID != "x" {
				t.Errorf("user ID is %q", c.UserID)
			}
			if !c.Expires.Equal(test.expires) {
				t.Errorf("expires %s, want %s", c.Expires, test.expires)
			}
			if diff := cmp.Diff(test.revoked, c.Revoked); diff != "" {
				t.Error(diff)
			}
			if (c.Weak == "") != (test.weak == "") || !strings.Contains(c.Weak, test.weak) {
				t.Errorf("weakness is %q, want %q", c.Weak, test.weak)
			}
			_, err := pgp.NewKeyring(c).Verify(region, signatures(sign(t, key, at(born.Add(year)))), today)
			if got := fmt.Sprint(err); (err == nil) != (test.verify == "") || err != nil && !strings.Contains(got, test.verify) {
				t.Errorf("signature: got %q, want %q", got, test.verify)
			}
		})
	}
}

// raw is a packet of the new format.
func raw(tag byte, body ...byte) part {
	return func(testing.TB, *packet.PrivateKey) []byte {
		return append([]byte{tag, byte(len(body))}, body...)
	}
}

// patched changes a byte of a part, counted from the end if negative.
func patched(p part, at int, b byte) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		out := p(t, key)
		if at < 0 {
			at += len(out)
		}
		if out[at] == b {
			b ^= 0xff
		}
		out[at] = b
		return out
	}
}

// by makes a part with another key, which does not hide it.
func by(other *packet.PrivateKey, p part) part {
	return func(t testing.TB, _ *packet.PrivateKey) []byte { return p(t, other) }
}

// certifiedBy is the certification of id, by the key itself if other is nil,
// without id.
func certifiedBy(other *packet.PrivateKey, id string) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		if other == nil {
			other = key
		}
		return user(id)(t, other)[2+len(id):]
	}
}

func TestSubkeys(t *testing.T) {
	sub := ecKey(packet.CurveNistP256)
	short := shortKey()
	signed := at(born.Add(100 * day))
	for _, test := range []struct {
		name   string
		sub    *packet.PrivateKey // sub if nil
		parts  []part
		weak   string
		expire time.Time
		verify string // part of the error, "" if it vouches
	}{
		{name: "good", parts: []part{user("x"), subkey(sub), bound(sub, nil)}},
		{name: "primary key certifies only", parts: []part{user("x", certifiesOnly), subkey(sub), bound(sub, nil)}},
		{name: "expired", parts: []part{user("x"), subkey(sub), bound(sub, nil, keyLives(10*day))}, expire: born.Add(10 * day), verify: "expired when it signed"},
		{name: "extended", parts: []part{user("x"), subkey(sub), bound(sub, nil, keyLives(10*day)), bound(sub, nil, at(born.Add(200*day)))}},
		{name: "back signature expired", parts: []part{user("x"), subkey(sub), bound(sub, []sigOption{lives(10 * day)})}, expire: born.Add(10 * day), verify: "expired"},
		{name: "primary key expired", parts: []part{user("x", keyLives(10*day)), subkey(sub), bound(sub, nil)}, verify: "expired when it signed"},
		{name: "primary key revoked", parts: []part{revokedKey(), user("x"), subkey(sub), bound(sub, nil)}, verify: "revoked"},
		{name: "primary key retired later", parts: []part{revokedKey(because(packet.KeyRetired, ""), at(born.Add(200*day))), user("x"), subkey(sub), bound(sub, nil)}},
		{name: "primary key not bound", parts: []part{userID("x"), subkey(sub), bound(sub, nil)}, verify: "primary key is not valid"},
		{name: "revoked", parts: []part{user("x"), subkey(sub), revokedSubkey(sub), bound(sub, nil)}, verify: "revoked"},
		{name: "revoked after its binding", parts: []part{user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub)}, verify: "revoked"},
		{name: "retired before", parts: []part{user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub, because(packet.KeyRetired, ""), at(born.Add(50*day)))}, verify: "retired"},
		{name: "retired before, bound again", parts: []part{user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub, because(packet.KeyRetired, ""), at(born.Add(50*day))), bound(sub, nil, at(born.Add(60*day)))}, verify: "retired"},
		{name: "retired later", parts: []part{user("x"), subkey(sub), bound(sub, nil), revokedSubkey(sub, because(packet.KeyRetired, ""), at(born.Add(200*day)))}},
		{name: "no back signature", parts: []part{user("x"), subkey(sub), bound(sub, nil, certifiesOnly), noBackSignature(sub)}, weak: "no back signature", verify: "no back signature"},
		{name: "another's back signature", parts: []part{user("x"), subkey(sub), boundBack(sub, ecKey(packet.CurveNistP256), nil)}, weak: "back signature of the subkey is bad", verify: "back signature of the subkey is bad"},
		{name: "bound over SHA-1", parts: []part{user("x"), subkey(sub), bound(sub, nil, over(crypto.SHA1))}, weak: "over SHA-1", verify: "over SHA-1"},
		{name: "back signature over SHA-1", parts: []part{user("x"), subkey(sub), bound(sub, []sigOption{over(crypto.SHA1)})}, weak: "over SHA-1", verify: "over SHA-1"},
		{name: "short", sub: short, parts: []part{user("x"), subkey(short), bound(short, nil)}, weak: "too short", verify: "too short"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, sub := rsaKey(), sub
			if test.sub != nil {
				sub = test.sub
			}
			c := parse(t, cert(t, key, test.parts...))[0]
			want := []pgp.Subkey{{
				Fingerprint: fmt.Sprintf("%x", sub.Fingerprint), KeyID: sub.KeyId, Created: born, Expires: test.expire,
				Algorithm: map[bool]string{true: "rsa1024", false: "nistp256"}[sub == short],
			}}
			if diff := cmp.Diff(want, c.Subkeys, cmpopts.EquateApproxTime(0), cmpopts.IgnoreFields(pgp.Subkey{}, "Weak", "Revoked")); diff != "" {
				t.Fatal(diff)
			}
			if got := c.Subkeys[0].Weak; (got == "") != (test.weak == "") || !strings.Contains(got, test.weak) {
				t.Errorf("weakness is %q, want %q", got, test.weak)
			}
			ring := pgp.NewKeyring(c)
			result, err := ring.Verify(region, signatures(sign(t, sub, signed)), today)
			if got := fmt.Sprint(err); (err == nil) != (test.verify == "") || err != nil && !strings.Contains(got, test.verify) {
				t.Errorf("signature: got %q, want %q", got, test.verify)
			}
			if err == nil && (result.KeyFingerprint != want[0].Fingerprint || result.Cert.Fingerprint != c.Fingerprint) {
				t.Errorf("got %+v", result)
			}
			// Only a subkey that has agreed to it belongs to the certificate.
			if got := ring.Lookup(strings.ToUpper(want[0].Fingerprint)); (got != nil) != (test.weak == "") || got != nil && got.Fingerprint != c.Fingerprint {
				t.Errorf("subkey belongs to %+v", got)
			}
		})
	}

	// None of these is a signing key, whatever it signs.
	for name, parts := range map[string][]part{
		"not bound":           {user("x"), subkey(sub)},
		"for encryption":      {user("x"), subkey(sub), bound(sub, nil, certifiesOnly)},
		"without flags":       {user("x"), subkey(sub), bound(sub, nil, withoutFlags)},
		"bound by another":    {user("x"), subkey(sub), by(ecKey(packet.CurveNistP256), bound(sub, nil))},
		"no longer for signs": {user("x"), subkey(sub), bound(sub, nil), bound(sub, nil, at(born.Add(day)), certifiesOnly)},
	} {
		c := parse(t, cert(t, rsaKey(), parts...))[0]
		if len(c.Subkeys) != 0 || len(c.KeyIDs) != 1 {
			t.Errorf("%s: got %+v", name, c.Subkeys)
		}
		if _, err := pgp.NewKeyring(c).Verify(region, signatures(sign(t, sub, signed)), today); fmt.Sprintf("%T", err) != "*pgp.UnknownKeyError" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// noBackSignature is a binding that claims to sign and lacks the proof.
func noBackSignature(sub *packet.PrivateKey) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypeSubkeyBinding, []sigOption{signingFlags, at(born.Add(day))})
		if err := s.SignKey(&sub.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return serialize(t, s)
	}
}

func TestParseCertsForms(t *testing.T) {
	a, b := plain(t, rsaKey()), plain(t, ecKey(packet.CurveNistP256))
	block := func(data []byte) string {
		var buf bytes.Buffer
		w, err := armor.Encode(&buf, "PGP PUBLIC KEY BLOCK", map[string]string{"Comment": "test"})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(data)
		w.Close()
		return buf.String() + "\n"
	}
	both := string(a) + string(b)
	for name, data := range map[string]string{
		"binary":                both,
		"one block":             block([]byte(both)),
		"two blocks":            block(a) + block(b),
		"text around":           "\ufeffThe keys of Example Linux\n\n" + block(a) + "and\n" + block(b) + "bye\n",
		"carriage returns":      strings.ReplaceAll(block(a)+block(b), "\n", "\r\n"),
		"third copy of the one": both + string(a),
	} {
		certs, err := pgp.ParseCerts([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if ring := pgp.NewKeyring(certs...); len(ring.Certs()) != 2 {
			t.Errorf("%s: got %d certificates", name, len(ring.Certs()))
		}
	}
}

func TestParseCertsRefuses(t *testing.T) {
	key := rsaKey()
	good := plain(t, key)
	other := plain(t, ecKey(packet.CurveNistP256))
	for _, test := range []struct {
		name string
		data []byte
		left int // certificates that are returned nevertheless
		text string
	}{
		{"nothing", nil, 0, "there is none"},
		{"text", []byte("no keys here"), 0, "there is none"},
		{"too much", make([]byte, 1<<20+1), 0, "are too many"},
		{"signature armor", []byte("-----BEGIN PGP SIGNATURE-----\n\nwsBz\n-----END PGP SIGNATURE-----\n"), 0, `block is a "PGP SIGNATURE"`},
		{"damaged armor", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n"), 0, "armor is damaged"},
		{"cut short", good[:len(good)-1], 0, "cut short"},
		{"cut short after another", append(bytes.Clone(other), good[:len(good)-1]...), 1, "cut short"},
		{"garbage behind", append(bytes.Clone(good), "garbage"...), 0, "no OpenPGP packet"},
		{"secret key", serialize(t, key), 0, "there is none"},
		{"secret key after another", append(bytes.Clone(good), serialize(t, key)...), 0, "secret key"},
		{"unknown packet", cert(t, key, user("x"), raw(0xc0|30, 1)), 0, "packet of type 30"},
		{"version 3 key", append(raw(0xc0|6, 3, 0, 0, 0, 0, 0, 0, 1)(t, nil), other...), 1, "key version 3 is not supported"},
		{"damaged key", append([]byte{0xc6, 8, 4, 0, 0, 0, 0, 1, 0xff, 0xff}, other...), 1, "cut short"},
		{"long user ID", cert(t, key, longUserID), 0, "user ID of 2049 bytes"},
		{"too many subkeys", cert(t, key, times(257, subkey(ecKey(packet.CurveNistP256)))), 0, "more than 256 subkeys"},
		{"too many self-signatures", cert(t, key, user("x"), times(256, certifiedBy(nil, "x"))), 0, "more than 256 self-signatures"},
		{"too many packets", cert(t, key, times(4096, raw(0xc0|12))), 0, "more than 4096 packets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			certs, err := pgp.ParseCerts(test.data)
			if err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %q", err, test.text)
			}
			if len(certs) != test.left {
				t.Errorf("got %d certificates, want %d", len(certs), test.left)
			}
		})
	}
}

func longUserID(testing.TB, *packet.PrivateKey) []byte {
	const n = 2049
	return append([]byte{0xc0 | 13, 192 + (n-192)>>8, (n - 192) & 0xff}, make([]byte, n)...)
}

func times(n int, p part) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte { return bytes.Repeat(p(t, key), n) }
}

func TestUnsupportedKeysKeepTheirNames(t *testing.T) {
	// An algorithm that nobody has, as primary key and as subkey.
	strange := []byte{4, 0x65, 0x92, 0, 0x80, 99, 1, 2, 3}
	certs := parse(t, raw(0xc6, strange...)(t, nil), userID("Strange")(t, nil))
	if c := certs[0]; c.Algorithm != "algorithm 99" || !strings.Contains(c.Weak, "not supported") || c.UserID != "Strange" || len(c.Fingerprint) != 40 {
		t.Errorf("got %+v", c)
	}
	certs = parse(t, cert(t, rsaKey(), user("x"), raw(0xce, strange...), noBackSignature(rsaKey())))
	if c := certs[0]; c.Weak != "" || len(c.Subkeys) != 1 || !strings.Contains(c.Subkeys[0].Weak, "not supported") {
		t.Errorf("got %+v", c)
	}
}

// TestKeyringMerges gives a keyring two copies of a certificate, of which one
// does not know the latest.
func TestKeyringMerges(t *testing.T) {
	key, sub := rsaKey(), ecKey(packet.CurveNistP256)
	old := parse(t, cert(t, key, user("x"), subkey(sub), bound(sub, nil)))[0]
	revokedPrimary := parse(t, cert(t, key, revokedKey(), user("x")))[0]
	revokedSub := parse(t, cert(t, key, user("y", at(born.Add(day))), subkey(sub), revokedSubkey(sub)))[0]
	old.Source, revokedPrimary.Source, revokedSub.Source = "a", "b", "a"

	primarySig, subSig := sign(t, key), sign(t, sub)
	for _, test := range []struct {
		name         string
		certs        []*pgp.Cert
		primary, sub string
		source       string
	}{
		{"one", []*pgp.Cert{old, nil}, "<nil>", "<nil>", "a"},
		{"revoked later", []*pgp.Cert{old, revokedPrimary}, "*pgp.RevokedError", "*pgp.RevokedError", "a, b"},
		{"revoked first", []*pgp.Cert{revokedPrimary, old}, "*pgp.RevokedError", "*pgp.RevokedError", "b, a"},
		{"subkey revoked", []*pgp.Cert{old, revokedSub}, "<nil>", "*pgp.RevokedError", "a"},
		{"subkey revoked first", []*pgp.Cert{revokedSub, old, &pgp.Cert{}}, "<nil>", "*pgp.RevokedError", "a"},
	} {
		ring := pgp.NewKeyring(test.certs...)
		if len(ring.Certs()) != 1 || ring.Certs()[0].Source != test.source {
			t.Errorf("%s: got %+v", test.name, ring.Certs())
		}
		if got := ring.Revokes(); got != (test.sub == "*pgp.RevokedError") {
			t.Errorf("%s: Revokes = %v", test.name, got)
		}
		for sig, want := range map[*byte]string{&primarySig[0]: test.primary, &subSig[0]: test.sub} {
			data := primarySig
			if sig == &subSig[0] {
				data = subSig
			}
			if _, err := ring.Verify(region, signatures(data), today); fmt.Sprintf("%T", err) != want {
				t.Errorf("%s: got %v, want %s", test.name, err, want)
			}
		}
	}
	// Merging leaves what it merges alone.
	if old.Revoked != nil || len(pgp.NewKeyring(old).Certs()[0].Subkeys) != 1 || pgp.NewKeyring(old).Certs()[0].Revoked != nil {
		t.Errorf("merging changed a certificate: %+v", old)
	}
}
