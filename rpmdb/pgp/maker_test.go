// SPDX-License-Identifier: Apache-2.0

package pgp_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// born is when the keys of the tests were made, today when they are used.
var (
	born  = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const day = 24 * time.Hour

// region stands for an immutable region: what it holds is no concern here.
var region = bytes.Repeat([]byte("region of a header\n"), 12<<10/19)

// Keys are made once a run: RSA ones take their time.
var rsaSigner = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// deterministic keeps the library from adding a salt, which SHA-1 has none of.
var deterministic = func() *packet.Config {
	no := false
	return &packet.Config{NonDeterministicSignaturesViaNotation: &no}
}()

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func rsaKey() *packet.PrivateKey { return packet.NewRSAPrivateKey(born, rsaSigner()) }

func shortKey() *packet.PrivateKey {
	return packet.NewRSAPrivateKey(born, must(rsa.GenerateKey(rand.Reader, 1024)))
}

func ecKey(curve packet.Curve) *packet.PrivateKey {
	return newKey(&packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: curve})
}

// legacyEd25519 is a key of the form that GnuPG makes.
func legacyEd25519() *packet.PrivateKey {
	return newKey(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
}

func v6Key(algo packet.PublicKeyAlgorithm) *packet.PrivateKey {
	return newKey(&packet.Config{Algorithm: algo, V6Keys: true})
}

// posing is key with another identity: what it signs names that as its issuer.
func posing(key *packet.PrivateKey, version int, id uint64, fingerprint []byte) *packet.PrivateKey {
	other := *key
	other.PublicKey.Version, other.KeyId, other.Fingerprint = version, id, fingerprint
	return &other
}

func newKey(c *packet.Config) *packet.PrivateKey {
	c.Time = func() time.Time { return born }
	return must(openpgp.NewEntity("x", "", "", c)).PrivateKey
}

// sigOption changes a signature before it is made.
type sigOption func(*packet.Signature)

func at(t time.Time) sigOption     { return func(s *packet.Signature) { s.CreationTime = t } }
func over(h crypto.Hash) sigOption { return func(s *packet.Signature) { s.Hash = h } }
func lives(d time.Duration) sigOption {
	return func(s *packet.Signature) { s.SigLifetimeSecs = secs(d) }
}
func keyLives(d time.Duration) sigOption {
	return func(s *packet.Signature) { s.KeyLifetimeSecs = secs(d) }
}
func ofType(t packet.SignatureType) sigOption { return func(s *packet.Signature) { s.SigType = t } }
func certifiesOnly(s *packet.Signature)       { s.FlagSign = false }
func withoutFlags(s *packet.Signature)        { s.FlagsValid = false }
func favourite(s *packet.Signature)           { yes := true; s.IsPrimaryId = &yes }
func because(r packet.ReasonForRevocation, text string) sigOption {
	return func(s *packet.Signature) { s.RevocationReason, s.RevocationReasonText = &r, text }
}
func notation(critical bool) sigOption {
	return func(s *packet.Signature) {
		s.Notations = append(s.Notations, &packet.Notation{Name: "x@example.org", IsCritical: critical})
	}
}

func secs(d time.Duration) *uint32 { n := uint32(d / time.Second); return &n }

func newSig(key *packet.PrivateKey, kind packet.SignatureType, options []sigOption) *packet.Signature {
	s := &packet.Signature{
		Version: key.PublicKey.Version, SigType: kind, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: born, IssuerKeyId: &key.KeyId,
	}
	if key.KeyId == 0 {
		s.IssuerKeyId = nil
	}
	for _, o := range options {
		o(s)
	}
	return s
}

// sign makes a header signature.
func sign(t testing.TB, key *packet.PrivateKey, options ...sigOption) []byte {
	t.Helper()
	s := newSig(key, packet.SigTypeBinary, append([]sigOption{at(born.Add(day))}, options...))
	h, err := s.PrepareSign(deterministic)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(h, header.Magic)
	h.Write(region)
	if err := s.Sign(h, key, deterministic); err != nil {
		t.Fatal(err)
	}
	return serialize(t, s)
}

// signV3 makes a header signature of version 3 as RFC 4880, section 5.2.2 says,
// without any code of the package under test.
func signV3(t testing.TB, key *packet.PrivateKey, made time.Time) []byte {
	t.Helper()
	hashed := binary.BigEndian.AppendUint32([]byte{0x00}, uint32(made.Unix()))
	h := sha256.New()
	io.WriteString(h, header.Magic)
	h.Write(region)
	h.Write(hashed)
	digest := h.Sum(nil)
	sig, err := rsa.SignPKCS1v15(nil, rsaSigner(), crypto.SHA256, digest)
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte{3, 5}, hashed...)
	body = binary.BigEndian.AppendUint64(body, key.KeyId)
	body = append(body, 1, 8, digest[0], digest[1])
	sig = bytes.TrimLeft(sig, "\x00")
	bits := len(sig) * 8
	for b := sig[0]; b&0x80 == 0; b <<= 1 {
		bits--
	}
	body = binary.BigEndian.AppendUint16(body, uint16(bits))
	body = append(body, sig...)
	return append(binary.BigEndian.AppendUint16([]byte{0x89}, uint16(len(body))), body...)
}

type serializer interface{ Serialize(io.Writer) error }

func serialize(t testing.TB, parts ...serializer) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		if err := p.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// part writes a part of the certificate of key.
type part func(t testing.TB, key *packet.PrivateKey) []byte

// cert makes a certificate, byte by byte.
func cert(t testing.TB, key *packet.PrivateKey, parts ...part) []byte {
	t.Helper()
	b := serialize(t, &key.PublicKey)
	for _, p := range parts {
		b = append(b, p(t, key)...)
	}
	return b
}

// plain is a certificate with a user ID and nothing special.
func plain(t testing.TB, key *packet.PrivateKey) []byte {
	t.Helper()
	if key.PublicKey.Version == 6 {
		return cert(t, key, direct())
	}
	return cert(t, key, user("Builder <b@example.org>"))
}

func signingFlags(s *packet.Signature) { s.FlagsValid, s.FlagCertify, s.FlagSign = true, true, true }

func user(id string, options ...sigOption) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypePositiveCert, append([]sigOption{signingFlags}, options...))
		if err := s.SignUserId(id, &key.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return append(userID(id)(t, key), serialize(t, s)...)
	}
}

// userID is a user ID without a signature.
func userID(id string) part {
	return func(t testing.TB, _ *packet.PrivateKey) []byte {
		return append([]byte{0xc0 | 13, byte(len(id))}, id...)
	}
}

func direct(options ...sigOption) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypeDirectSignature, append([]sigOption{signingFlags}, options...))
		if err := s.SignDirectKeyBinding(&key.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return serialize(t, s)
	}
}

func revokedKey(options ...sigOption) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypeKeyRevocation, options)
		if err := s.RevokeKey(&key.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return serialize(t, s)
	}
}

// revokedUser follows the user ID it revokes.
func revokedUser(id string, options ...sigOption) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypeCertificationRevocation, options)
		if err := s.SignUserId(id, &key.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return serialize(t, s)
	}
}

func subkey(sub *packet.PrivateKey) part {
	return func(t testing.TB, _ *packet.PrivateKey) []byte {
		pub := sub.PublicKey
		pub.IsSubkey = true
		return serialize(t, &pub)
	}
}

// bound is the binding of sub, which it follows; back changes the back signature.
func bound(sub *packet.PrivateKey, back []sigOption, options ...sigOption) part {
	return boundBack(sub, sub, back, options...)
}

// boundBack has the back signature made by another key than sub.
func boundBack(sub, backer *packet.PrivateKey, back []sigOption, options ...sigOption) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypeSubkeyBinding, append([]sigOption{signingFlags}, options...))
		if s.FlagSign {
			s.EmbeddedSignature = newSig(backer, packet.SigTypePrimaryKeyBinding, back)
			if err := s.EmbeddedSignature.CrossSignKey(&sub.PublicKey, &key.PublicKey, backer, deterministic); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SignKey(&sub.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return serialize(t, s)
	}
}

func revokedSubkey(sub *packet.PrivateKey, options ...sigOption) part {
	return func(t testing.TB, key *packet.PrivateKey) []byte {
		s := newSig(key, packet.SigTypeSubkeyRevocation, options)
		if err := s.RevokeSubkey(&sub.PublicKey, key, deterministic); err != nil {
			t.Fatal(err)
		}
		return serialize(t, s)
	}
}

// parse reads certificates that are all right.
func parse(t testing.TB, data ...[]byte) []*pgp.Cert {
	t.Helper()
	certs, err := pgp.ParseCerts(bytes.Join(data, nil))
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

func signatures(data ...[]byte) []header.Signature {
	sigs := make([]header.Signature, len(data))
	for i, d := range data {
		sigs[i] = header.Signature{Tag: header.TagOpenPGP, Data: d}
	}
	return sigs
}
