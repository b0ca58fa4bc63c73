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
	hash, err := SigningHash(key.Public())
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	sum := hash.New()
	sum.Write(body)
	return SignDigestPKCS7(sum.Sum(nil), cert, key)
}

// SignDigestPKCS7 is SignPKCS7 for a caller that has the digest of the body by the algorithm
// that SigningHash returns.
func SignDigestPKCS7(digest []byte, cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	h, err := hashFor(key.Public())
	if err == nil && len(digest) != h.hash.Size() {
		err = fmt.Errorf("a digest by %v has %d bytes, not %d", h.hash, h.hash.Size(), len(digest))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	// Without a source of randomness ECDSA takes it from key and digest (RFC 6979), which
	// is quicker, and no worse where that source is.
	sig, err := key.Sign(nil, digest, h.hash)
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	_, isRSA := key.Public().(*rsa.PublicKey)

	b := cryptobyte.NewFixedBuilder(make([]byte, 0, len(cert.Raw)+len(cert.RawIssuer)+len(sig)+256))
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // ContentInfo
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignedData
				b.AddASN1Int64(1)
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, h.digest, false) })
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(cert.Raw) })
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignerInfo
						b.AddASN1Int64(1)
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddBytes(cert.RawIssuer)
							b.AddASN1BigInt(cert.SerialNumber)
						})
						addAlgorithm(b, h.digest, false)
						if isRSA {
							addAlgorithm(b, oidRSA, true)
						} else {
							addAlgorithm(b, h.ecdsa, false)
						}
						b.AddASN1OctetString(sig)
					})
				})
			})
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("cannot encode the signature: %w", err)
	}
	return der, nil
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
