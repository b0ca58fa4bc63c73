// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha256" // so that crypto.Hash can make them
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Object identifiers of RFC 5652 (messages), RFC 5754 (digests) and RFC 3279
// and 5758 (signatures). The kernel refuses id-ecPublicKey as a signature
// algorithm: it must name the digest (crypto/asymmetric_keys/pkcs7_parser.c).
var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidRSA        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

// pkcs7Hash is what a digest makes of a message's algorithm identifiers.
type pkcs7Hash struct {
	hash   crypto.Hash
	digest asn1.ObjectIdentifier
	ecdsa  asn1.ObjectIdentifier
}

var pkcs7Hashes = []pkcs7Hash{
	{crypto.SHA256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
	{crypto.SHA384, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}},
	{crypto.SHA512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}},
}

// hashFor chooses the digest that is as strong as the key.
func hashFor(key crypto.PublicKey) (pkcs7Hash, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return pkcs7Hashes[0], nil
	case *ecdsa.PublicKey:
		switch bits := k.Params().BitSize; {
		case bits <= 256:
			return pkcs7Hashes[0], nil
		case bits <= 384:
			return pkcs7Hashes[1], nil
		default:
			return pkcs7Hashes[2], nil
		}
	}
	return pkcs7Hash{}, fmt.Errorf("the kernel knows no list signatures by %T, only RSA and ECDSA", key)
}

// SigningHash returns the algorithm by which SignPKCS7 digests the body for that key: SHA-384
// and SHA-512 for keys on curves of more than 256 bits, SHA-256 for others. A kernel compares
// that digest with the "bin:" entries of its .blacklist.
func SigningHash(key crypto.PublicKey) (crypto.Hash, error) {
	h, err := hashFor(key)
	return h.hash, err
}

// SignPKCS7 returns the DER of a PKCS#7 message (RFC 5652, SignedData) as the
// kernel's IMA verifies it under an appended signature: detached from body,
// without signed attributes, the signer named by issuer and serial number. The
// certificate is embedded, so that a kernel that blacklists it refuses the list.
// RSA signs by PKCS #1 v1.5; elliptic curves by ECDSA.
func SignPKCS7(body []byte, cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	s, err := NewSigner(cert, key)
	if err != nil {
		return nil, err
	}
	sum := s.kind.hash.New()
	sum.Write(body)
	return s.Sign(sum.Sum(nil))
}

// Signer signs as [SignPKCS7] does for many bodies, which takes less time for each. Goroutines can
// share it.
type Signer struct {
	cert  *x509.Certificate
	key   crypto.Signer
	kind  pkcs7Hash
	heads sync.Map // a message without its signature, which is at its end, by the length of that
}

// NewSigner returns the Signer of a key and its certificate. The kernel verifies signatures by RSA
// and ECDSA only.
func NewSigner(cert *x509.Certificate, key crypto.Signer) (*Signer, error) {
	kind, err := hashFor(key.Public())
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	return &Signer{cert: cert, key: key, kind: kind}, nil
}

// Has reports whether s is of this key and this certificate.
func (s *Signer) Has(cert *x509.Certificate, key crypto.Signer) bool {
	return s.cert == cert && s.key == key
}

// Sign signs the body that has this digest, by the algorithm that [SigningHash] returns.
func (s *Signer) Sign(digest []byte) ([]byte, error) {
	if len(digest) != s.kind.hash.Size() {
		return nil, fmt.Errorf("cannot sign: a digest by %v has %d bytes, not %d", s.kind.hash, s.kind.hash.Size(), len(digest))
	}
	// Without a source of randomness ECDSA takes it from key and digest (RFC 6979), which
	// is quicker, and no worse where that source is.
	sig, err := s.key.Sign(nil, digest, s.kind.hash)
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	head, made := s.heads.Load(len(sig))
	if !made {
		der, err := s.message(sig)
		if err != nil {
			return nil, fmt.Errorf("cannot encode the signature: %w", err)
		}
		head, _ = s.heads.LoadOrStore(len(sig), der[:len(der)-len(sig)])
	}
	return slices.Concat(head.([]byte), sig), nil
}

// message encodes the message whose signature is sig.
func (s *Signer) message(sig []byte) ([]byte, error) {
	_, isRSA := s.key.Public().(*rsa.PublicKey)
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // ContentInfo
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignedData
				b.AddASN1Int64(1)
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, s.kind.digest, false) })
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(s.cert.Raw) })
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignerInfo
						b.AddASN1Int64(1)
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddBytes(s.cert.RawIssuer)
							b.AddASN1BigInt(s.cert.SerialNumber)
						})
						addAlgorithm(b, s.kind.digest, false)
						if isRSA {
							addAlgorithm(b, oidRSA, true)
						} else {
							addAlgorithm(b, s.kind.ecdsa, false)
						}
						b.AddASN1OctetString(sig)
					})
				})
			})
		})
	})
	return b.Bytes()
}

func explicit(n uint8) casn1.Tag { return casn1.Tag(n).ContextSpecific().Constructed() }

func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, null bool) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if null {
			b.AddASN1NULL()
		}
	})
}
