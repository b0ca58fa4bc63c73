// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

func TestVerifyAlgorithms(t *testing.T) {
	v6RSA := packet.NewRSAPrivateKey(born, rsaSigner())
	if err := v6RSA.UpgradeToV6(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		key     *packet.PrivateKey
		options []sigOption
		version int
		hash    string
	}{
		{"rsa2048", rsaKey(), nil, 4, "SHA-256"},
		{"rsa3072", packet.NewRSAPrivateKey(born, must(rsa.GenerateKey(rand.Reader, 3072))), nil, 4, "SHA-256"},
		{"rsa2048", rsaKey(), []sigOption{over(crypto.SHA224)}, 4, "SHA-224"},
		{"rsa2048", rsaKey(), []sigOption{over(crypto.SHA384)}, 4, "SHA-384"},
		{"rsa2048", rsaKey(), []sigOption{over(crypto.SHA512)}, 4, "SHA-512"},
		{"rsa2048", v6RSA, nil, 6, "SHA-256"},
		{"nistp256", ecKey(packet.CurveNistP256), nil, 4, "SHA-256"},
		{"nistp384", ecKey(packet.CurveNistP384), []sigOption{over(crypto.SHA384)}, 4, "SHA-384"},
		{"nistp521", ecKey(packet.CurveNistP521), []sigOption{over(crypto.SHA512)}, 4, "SHA-512"},
		{"ed25519", legacyEd25519(), nil, 4, "SHA-256"},
		{"ed25519", newKey(&packet.Config{Algorithm: packet.PubKeyAlgoEd25519}), nil, 4, "SHA-256"},
		{"ed25519", v6Key(packet.PubKeyAlgoEd25519), []sigOption{over(crypto.SHA512)}, 6, "SHA-512"},
		{"ed448", v6Key(packet.PubKeyAlgoEd448), []sigOption{over(crypto.SHA512)}, 6, "SHA-512"},
		{"mldsa65-ed25519", v6Key(packet.PubKeyAlgoMldsa65Ed25519), nil, 6, "SHA-256"},
	} {
		t.Run(fmt.Sprintf("%s v%d %s", test.name, test.version, test.hash), func(t *testing.T) {
			ring := pgp.NewKeyring(parse(t, plain(t, test.key))...)
			cert := ring.Certs()[0]
			if cert.Algorithm != test.name || cert.Weak != "" {
				t.Errorf("certificate has algorithm %q, weakness %q", cert.Algorithm, cert.Weak)
			}
			sig := sign(t, test.key, test.options...)
			got, err := ring.Verify(region, signatures(sig), today)
			if err != nil {
				t.Fatal(err)
			}
			want := &pgp.Result{
				Cert: cert, KeyFingerprint: fmt.Sprintf("%x", test.key.Fingerprint),
				Created: born.Add(day).Local(), Hash: test.hash, Version: test.version,
			}
			if got.Cert != cert || got.KeyFingerprint != want.KeyFingerprint || !got.Created.Equal(want.Created) || got.Hash != want.Hash || got.Version != want.Version || got.Index != 0 {
				t.Errorf("got %+v, want %+v", got, want)
			}
			_, err = pgp.Options{FIPS: true}.NewKeyring(parse(t, plain(t, test.key))...).Verify(region, signatures(sig), today)
			weak, library := new(pgp.WeakError), test.name == "ed448" || test.name == "mldsa65-ed25519"
			if errors.As(err, &weak) != library || !library && err != nil || library && !strings.Contains(err.Error(), test.name+" keys are not accepted in FIPS mode") {
				t.Errorf("in FIPS mode: %v", err)
			}
			other := append(bytes.Clone(region), 0)
			var bad *pgp.BadSignatureError
			if _, err := ring.Verify(other, signatures(sig), today); !errors.As(err, &bad) {
				t.Errorf("over another region: %v", err)
			}
			last := bytes.Clone(sig)
			last[len(last)-1] ^= 1
			if _, err := ring.Verify(region, signatures(last), today); !errors.As(err, &bad) {
				t.Errorf("with its last bit flipped: %v", err)
			}
		})
	}
}

func TestVerifyV3(t *testing.T) {
	key := rsaKey()
	ring := pgp.NewKeyring(parse(t, plain(t, key))...)
	sig := signV3(t, key, born.Add(day))
	got, err := ring.Verify(region, signatures(sig), today)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != 3 || got.Hash != "SHA-256" || !got.Created.Equal(born.Add(day)) {
		t.Errorf("got %+v", got)
	}
	// Of 19 fixed bytes, only the two of the digest, a hint, may change. The
	// header of the packet has three, and the bits of the integer may be
	// said otherwise as long as its bytes are the same.
	for i := range sig {
		for bit := range 8 {
			flipped := bytes.Clone(sig)
			flipped[i] ^= 1 << bit
			_, err := ring.Verify(region, signatures(flipped), today)
			hint := i == 3+17 || i == 3+18 || i == 3+20
			if err == nil && !hint {
				t.Errorf("good with bit %d of byte %d flipped", bit, i)
			}
		}
	}
}

// TestVerifyRefuses tries signatures that must not vouch, each alone.
func TestVerifyRefuses(t *testing.T) {
	var (
		key     = rsaKey()
		stray   = ecKey(packet.CurveNistP256)
		weakKey = shortKey()
		ring    = pgp.NewKeyring(parse(t, plain(t, key), plain(t, weakKey))...)
		good    = sign(t, key)
		v3      = signV3(t, key, born.Add(day))
		patch   = func(sig []byte, at int, b byte) []byte { sig = bytes.Clone(sig); sig[at] = b; return sig }
		head    = len(good) - len(body(t, good))
	)
	badErr, weakErr, expiredErr, unknownErr := &pgp.BadSignatureError{}, &pgp.WeakError{}, &pgp.ExpiredError{}, &pgp.UnknownKeyError{}
	for _, test := range []struct {
		name string
		sig  []byte
		want error // its type
		text string
	}{
		{"unknown key", sign(t, stray), unknownErr, fmt.Sprintf("%x", stray.Fingerprint)},
		{"empty", nil, badErr, "cut short"},
		{"no packet", []byte("no packet"), badErr, "no OpenPGP packet"},
		{"cut short", good[:len(good)-1], badErr, "cut short"},
		{"trailing byte", append(bytes.Clone(good), 0), badErr, "1 bytes follow"},
		{"two packets", append(bytes.Clone(good), good...), badErr, "bytes follow the signature"},
		{"trailing byte in the packet", framed(append(bytes.Clone(body(t, good)), 0)), badErr, "1 bytes too many"},
		{"trailing byte in a v3 packet", framed(append(bytes.Clone(body(t, v3)), 0)), badErr, "1 bytes follow its integer"},
		{"v3 cut short in its integer", framed(body(t, v3)[:100]), badErr, "cut short"},
		{"v3 cut short", framed(body(t, v3)[:18]), badErr, "cut short"},
		{"v3 with another hashed length", patch(v3, 3+1, 6), badErr, "not 5"},
		{"empty body", []byte{0xc2, 0}, badErr, "cut short"},
		{"partial length", append([]byte{0xc2, 0xe1}, body(t, good)...), badErr, "partial length"},
		{"indeterminate length", append([]byte{0x8b}, body(t, good)...), badErr, "no length"},
		{"a public key", plain(t, key), badErr, "is no signature"},
		{"too long", make([]byte, 64<<10+1), badErr, "more than any signature"},
		{"over text", sign(t, key, ofType(packet.SigTypeText)), badErr, "type 0x01"},
		{"v3 over text", patch(v3, 3+2, 1), badErr, "type 0x01"},
		{"a key revocation", revokedKey()(t, key), badErr, "type 0x20"},
		{"no issuer", sign(t, posing(key, 4, 0, nil)), badErr, "names no issuer"},
		{"another key's ID", sign(t, posing(stray, 4, key.KeyId, nil)), badErr, "another algorithm"},
		{"version 2", patch(v3, 3, 2), weakErr, "version 2 is not supported"},
		{"version 5", patch(good, head, 5), weakErr, "version 5 is not supported"},
		{"MD5", patch(good, head+3, 1), weakErr, "MD5 is not accepted"},
		{"v3 MD5", patch(v3, 3+16, 1), weakErr, "MD5 is not accepted"},
		{"RIPEMD-160", patch(good, head+3, 3), weakErr, "hash algorithm 3 is not accepted"},
		{"SHA-1", sign(t, key, over(crypto.SHA1)), weakErr, "SHA-1 is not accepted"},
		{"v3 SHA-1", patch(v3, 3+16, 2), weakErr, "SHA-1 is not accepted"},
		{"v3 DSA", patch(v3, 3+15, 17), weakErr, "version 3 signature by dsa"},
		{"v3 ECDSA", patch(v3, 3+15, 19), weakErr, "version 3 signature by ecdsa"},
		{"unknown algorithm", patch(good, head+2, 99), weakErr, "public key algorithm 99 is not supported"},
		{"short key", sign(t, weakKey), weakErr, "1024 bits is too short"},
		{"critical notation", sign(t, key, notation(true)), weakErr, "critical notation"},
		{"expired signature", sign(t, key, lives(day)), expiredErr, "signature expired at 2024-01-03"},
		{"from the future", sign(t, key, at(today.Add(day))), &pgp.FutureError{}, "check the clock"},
		{"older than its key", sign(t, key, at(born.Add(-day))), expiredErr, "older than its key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ring.Verify(region, signatures(test.sig), today)
			if err == nil {
				t.Fatalf("vouched for by %+v", got)
			}
			if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", test.want) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %T %q, want %T with %q", err, err, test.want, test.text)
			}
		})
	}
	if _, err := ring.Verify(region, signatures(sign(t, key, notation(false))), today); err != nil {
		t.Errorf("with a notation that is not critical: %v", err)
	}
	if _, err := ring.Verify(region, signatures(sign(t, key, at(today.Add(time.Minute)))), today); err != nil {
		t.Errorf("made a minute ahead of the clock: %v", err)
	}
	if _, err := (pgp.Options{AllowSHA1: true}).NewKeyring(parse(t, plain(t, key))...).Verify(region, signatures(sign(t, key, over(crypto.SHA1))), today); err != nil {
		t.Errorf("over SHA-1 when that is allowed: %v", err)
	}
	weak, fips := new(pgp.WeakError), pgp.Options{AllowSHA1: true, FIPS: true}.NewKeyring(parse(t, plain(t, key))...)
	if _, err := fips.Verify(region, signatures(sign(t, key, over(crypto.SHA1))), today); !errors.As(err, &weak) {
		t.Errorf("over SHA-1 in FIPS mode: %v", err)
	}
	if pgp.NewKeyring(fips.Certs()...).Same(fips) {
		t.Error("FIPS mode changes nothing of what lists stand on")
	}
}

// body is what is in a packet that serialize or framed made.
func body(t testing.TB, whole []byte) []byte {
	t.Helper()
	switch {
	case whole[0] == 0x89:
		return whole[3:]
	case whole[0] == 0xc2 && whole[1] < 192:
		return whole[2:]
	case whole[0] == 0xc2 && whole[1] < 224:
		return whole[3:]
	}
	t.Fatalf("packet begins with %x", whole[:2])
	return nil
}

// framed makes a signature packet of the old format.
func framed(body []byte) []byte {
	return append([]byte{0x89, byte(len(body) >> 8), byte(len(body))}, body...)
}

func TestVerifyVersionsDoNotMix(t *testing.T) {
	v6 := v6Key(packet.PubKeyAlgoEd25519)
	ring := pgp.NewKeyring(parse(t, plain(t, v6))...)
	sig := sign(t, posing(v6, 4, v6.KeyId, nil))
	var bad *pgp.BadSignatureError
	if _, err := ring.Verify(region, signatures(sig), today); !errors.As(err, &bad) || !strings.Contains(bad.Reason, "version 4 signature by a version 6 key") {
		t.Errorf("got %v", err)
	}
}

// TestVerifySeveral is the rule for headers with more than one signature.
func TestVerifySeveral(t *testing.T) {
	var (
		a, b, revokedHard, stray = rsaKey(), ecKey(packet.CurveNistP256), ecKey(packet.CurveNistP256), ecKey(packet.CurveNistP256)

		ring = pgp.NewKeyring(parse(t, plain(t, a), plain(t, b), cert(t, revokedHard, revokedKey(), user("x")))...)

		goodA, goodB, unknown = sign(t, a), sign(t, b), sign(t, stray)
		weak                  = sign(t, b, over(crypto.SHA1))
		revoked               = sign(t, revokedHard)
		expired               = sign(t, b, lives(day))
		bad                   = func() []byte { s := bytes.Clone(goodB); s[len(s)-1] ^= 1; return s }()
		garbage               = []byte("garbage")
	)
	many := make([][]byte, 33)
	for i := range many {
		many[i] = goodA
	}
	for _, test := range []struct {
		name string
		sigs [][]byte
		want string // what is good, or the type of the error
	}{
		{"none", nil, "*errors.errorString"},
		{"good", [][]byte{goodA}, "0"},
		{"two good", [][]byte{goodB, goodA}, "0"},
		{"good after unknown", [][]byte{unknown, goodA}, "1"},
		{"good before unknown", [][]byte{goodA, unknown}, "0"},
		{"good after weak", [][]byte{weak, goodA}, "1"},
		{"good after revoked", [][]byte{revoked, goodA}, "1"},
		{"good after expired", [][]byte{expired, goodA}, "1"},
		{"good before bad", [][]byte{goodA, bad}, "*pgp.BadSignatureError"},
		{"good after bad", [][]byte{bad, goodA}, "*pgp.BadSignatureError"},
		{"good before garbage", [][]byte{goodA, garbage}, "*pgp.BadSignatureError"},
		{"bad after unknown", [][]byte{unknown, bad}, "*pgp.BadSignatureError"},
		{"bad after revoked", [][]byte{revoked, bad}, "*pgp.BadSignatureError"},
		{"unknown and weak", [][]byte{unknown, weak}, "*pgp.WeakError"},
		{"weak and expired", [][]byte{weak, expired}, "*pgp.ExpiredError"},
		{"revoked and expired", [][]byte{revoked, expired}, "*pgp.RevokedError"},
		{"unknown twice", [][]byte{unknown, unknown}, "*pgp.UnknownKeyError"},
		{"32", many[:32], "0"},
		{"33", many, "*pgp.BadSignatureError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := ring.Verify(region, signatures(test.sigs...), today)
			got := fmt.Sprintf("%T", err)
			if err == nil {
				got = fmt.Sprint(result.Index)
			}
			if got != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}

	_, err := ring.Verify(region, signatures(unknown, unknown), today)
	if diff := cmp.Diff(&pgp.UnknownKeyError{KeyIDs: []string{fmt.Sprintf("%x", stray.Fingerprint)}}, err); diff != "" {
		t.Error(diff)
	}
	// A signature over header and payload says nothing about the header.
	if _, err := ring.Verify(region, []header.Signature{{Tag: 1002, Data: goodA}}, today); !errors.Is(err, pgp.ErrUnsigned) {
		t.Errorf("header and payload: %v", err)
	}
	for _, tag := range []uint32{header.TagRSAHeader, header.TagDSAHeader} {
		if _, err := ring.Verify(region, []header.Signature{{Tag: tag, Data: goodA}}, today); err != nil {
			t.Errorf("tag %d: %v", tag, err)
		}
	}
	if _, err := pgp.NewKeyring().Verify(region, signatures(goodA), today); fmt.Sprintf("%T", err) != "*pgp.UnknownKeyError" {
		t.Errorf("empty keyring: %v", err)
	}
}

// TestVerifyConcurrently is for the race detector.
func TestVerifyConcurrently(t *testing.T) {
	keys := []*packet.PrivateKey{rsaKey(), ecKey(packet.CurveNistP256), legacyEd25519(), v6Key(packet.PubKeyAlgoMldsa65Ed25519)}
	var certs []*pgp.Cert
	var sigs []header.Signature
	for _, k := range keys {
		certs = append(certs, parse(t, plain(t, k))...)
		sigs = append(sigs, signatures(sign(t, k))...)
	}
	ring := pgp.NewKeyring(certs...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if _, err := ring.Verify(region, sigs, today); err != nil {
					t.Error(err)
				}
				ring.Lookup(certs[0].Fingerprint)
				pgp.NewKeyring(certs...)
			}
		})
	}
	wg.Wait()
}
