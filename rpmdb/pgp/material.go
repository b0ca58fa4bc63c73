// SPDX-License-Identifier: Apache-2.0

package pgp

import (
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
		return newRSAKey(key), nil
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
