// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"hash"
	"math/big"

	goecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	goed25519 "github.com/ProtonMail/go-crypto/openpgp/ed25519"
	goeddsa "github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// material is the mathematical part of a public key, ready for use.
type material interface {
	// verify reports whether s is a signature over digest. The algorithms of s
	// and of the key are the same.
	verify(digest []byte, s *signature) bool
}

// newMaterial prepares a key that describe finds no fault with.
func newMaterial(pk *packet.PublicKey) (material, error) {
	switch key := pk.PublicKey.(type) {
	case *rsa.PublicKey:
		return &rsaKey{n: key.N, e: big.NewInt(int64(key.E)), size: (key.N.BitLen() + 7) / 8}, nil
	case *goecdsa.PublicKey:
		var curve elliptic.Curve
		switch name, _ := pk.Curve(); name {
		case packet.CurveNistP256:
			curve = elliptic.P256()
		case packet.CurveNistP384:
			curve = elliptic.P384()
		case packet.CurveNistP521:
			curve = elliptic.P521()
		default:
			return nil, errors.New("unknown curve")
		}
		std, err := ecdsa.ParseUncompressedPublicKey(curve, key.MarshalPoint())
		if err != nil {
			return nil, err
		}
		return (*ecdsaKey)(std), nil
	case *goeddsa.PublicKey:
		// The point follows the prefix that says it has its native form.
		point := key.MarshalPoint()
		if len(point) != 1+ed25519.PublicKeySize {
			return nil, errors.New("point has the wrong size")
		}
		return ed25519Key(point[1:]), nil
	case *goed25519.PublicKey:
		if len(key.Point) != ed25519.PublicKeySize {
			return nil, errors.New("point has the wrong size")
		}
		return ed25519Key(key.Point), nil
	}
	return (*libraryKey)(pk), nil
}

// rsaKey verifies by math/big, in a third of the time that crypto/rsa needs: that
// prepares the modulus anew for every signature and keeps to constant time, of
// which a public operation has no use.
type rsaKey struct {
	n, e *big.Int
	size int
}

// digestInfo holds the DER of AlgorithmIdentifier and the OCTET STRING's head
// that precede the digest in RFC 8017, section 9.2.
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA1:   []byte("\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"),
	crypto.SHA224: []byte("\x30\x2d\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04\x05\x00\x04\x1c"),
	crypto.SHA256: []byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"),
	crypto.SHA384: []byte("\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"),
	crypto.SHA512: []byte("\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"),
}

// verify compares the whole encoded message with the only one that is right, and
// so has no padding to parse.
func (k *rsaKey) verify(digest []byte, s *signature) bool {
	prefix := digestInfo[s.hash]
	padding := k.size - 3 - len(prefix) - len(digest)
	sig := new(big.Int).SetBytes(s.rsa)
	if prefix == nil || padding < 8 || sig.Cmp(k.n) >= 0 {
		return false
	}
	want := make([]byte, 0, k.size)
	want = append(want, 0, 1)
	for range padding {
		want = append(want, 0xff)
	}
	want = append(want, 0)
	want = append(want, prefix...)
	want = append(want, digest...)
	got := sig.Exp(sig, k.e, k.n).FillBytes(make([]byte, k.size))
	return bytes.Equal(got, want)
}

type ecdsaKey ecdsa.PublicKey

func (k *ecdsaKey) verify(digest []byte, s *signature) bool {
	return ecdsa.Verify((*ecdsa.PublicKey)(k), digest, new(big.Int).SetBytes(s.r), new(big.Int).SetBytes(s.s))
}

type ed25519Key ed25519.PublicKey

func (k ed25519Key) verify(digest []byte, s *signature) bool {
	native := s.native
	if native == nil {
		// The old encoding has two integers, without their leading zeros.
		if len(s.r) > 32 || len(s.s) > 32 {
			return false
		}
		native = make([]byte, ed25519.SignatureSize)
		copy(native[32-len(s.r):], s.r)
		copy(native[64-len(s.s):], s.s)
	}
	return len(native) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(k), digest, native)
}

// libraryKey leaves the rarer algorithms to the library.
type libraryKey packet.PublicKey

func (k *libraryKey) verify(digest []byte, s *signature) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return s.parsed != nil && (*packet.PublicKey)(k).VerifySignature(finished(digest), s.parsed) == nil
}

// finished is a hash that has its sum already.
type finished []byte

var _ hash.Hash = finished(nil)

func (f finished) Write(p []byte) (int, error) { return len(p), nil }
func (f finished) Sum(b []byte) []byte         { return append(b, f...) }
func (f finished) Reset()                      {}
func (f finished) Size() int                   { return len(f) }
func (f finished) BlockSize() int              { return len(f) }
