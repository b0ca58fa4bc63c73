// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel"
)

// Vouched is the digest that a list has for a path.
type Vouched struct {
	Algo   digestlist.Algo
	Digest string // raw
}

// Hash returns the algorithm of the digest, or 0 if IMA has no signature over such a digest.
func (v Vouched) Hash() crypto.Hash { return v.Algo.Hash() }

// IMASignature signs a file's digest with the machine's key and returns the value for
// security.ima, in that version of IMA's signatures. Keys in a token or TPM can sign only
// SHA-256.
func (id *Identity) IMASignature(f Vouched, version uint8) ([]byte, error) {
	hash := f.Hash()
	if hash == 0 {
		return nil, fmt.Errorf("cannot sign a digest of %s", f.Algo)
	}
	sig, err := id.Key.Sign(rand.Reader, kernel.IMASigned(version, uint8(f.Algo), hash, []byte(f.Digest)), hash)
	if err != nil {
		return nil, fmt.Errorf("cannot sign file: %w", err)
	}
	return kernel.IMASignature{Version: version, Hash: uint8(f.Algo), KeyID: keyID(id.Cert.SubjectKeyId), Signature: sig}.Value(), nil
}

// keyID returns the identifier by which signatures on files name a certificate.
func keyID(ski []byte) (id [4]byte) {
	copy(id[:], ski[max(0, len(ski)-4):])
	return id
}

// Signed reports whether value is id's signature of that version over the digest of f.
func (id *Identity) Signed(value []byte, f Vouched, version uint8) bool {
	s, err := kernel.ParseIMASignature(value)
	hash := f.Hash()
	if err != nil || hash == 0 || s.Version != version || s.Hash != uint8(f.Algo) || s.KeyID != keyID(id.Cert.SubjectKeyId) {
		return false
	}
	digest := kernel.IMASigned(version, s.Hash, hash, []byte(f.Digest))
	switch key := id.Key.Public().(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, s.Signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, digest, s.Signature) == nil
	}
	return false
}

// Made reports whether value is a signature by id over any digest.
func (id *Identity) Made(value []byte) bool {
	s, err := kernel.ParseIMASignature(value)
	return err == nil && s.KeyID == keyID(id.Cert.SubjectKeyId)
}

// MadeHere reports whether value is a signature over any digest by the key of one of these
// certificates, which are the current and former ones of this machine.
func MadeHere(certs []*x509.Certificate, value []byte) bool {
	s, err := kernel.ParseIMASignature(value)
	return err == nil && slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return s.KeyID == keyID(c.SubjectKeyId) })
}
