// SPDX-License-Identifier: Apache-2.0

package digestlist

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxPKCS7 bounds a message: a signature and a short chain of certificates.
const maxPKCS7 = 64 << 10

// VerifyPKCS7 verifies a detached message over body and returns the trusted certificate that
// made it. It accepts messages of SignPKCS7 and of "openssl cms -sign -binary -noattr", with or
// without -nocerts and -keyid: one signer, no attributes, RSA by PKCS #1 v1.5 or ECDSA, SHA-256,
// -384 or -512. It does not use certificates in the message.
func VerifyPKCS7(body, der []byte, trusted []*x509.Certificate) (*x509.Certificate, error) {
	signer, err := parsePKCS7(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read PKCS#7 message: %w", err)
	}
	for _, cert := range trusted {
		if !signer.is(cert) {
			continue
		}
		if err := signer.verify(body, cert); err != nil {
			return nil, fmt.Errorf("cannot verify PKCS#7 signature of %q: %w", cert.Subject, err)
		}
		return cert, nil
	}
	return nil, fmt.Errorf("cannot verify PKCS#7 signature: its signer %s is not trusted", signer)
}

// PKCS7Signer returns the name of the signer in a message, without verifying it.
func PKCS7Signer(der []byte) (string, error) {
	signer, err := parsePKCS7(der)
	if err != nil {
		return "", err
	}
	return signer.String(), nil
}

// signerInfo is the SignerInfo of RFC 5652, 5.3.
type signerInfo struct {
	issuer []byte   // with serial, or
	serial *big.Int //
	keyID  []byte   // the subject key identifier

	hash pkcs7Hash
	rsa  bool
	sig  []byte
}

func (s *signerInfo) String() string {
	if s.keyID != nil {
		return fmt.Sprintf("with key identifier %x", s.keyID)
	}
	return fmt.Sprintf("with serial number %x", s.serial)
}

func (s *signerInfo) is(cert *x509.Certificate) bool {
	if s.keyID != nil {
		return bytes.Equal(s.keyID, cert.SubjectKeyId)
	}
	return bytes.Equal(s.issuer, cert.RawIssuer) && s.serial.Cmp(cert.SerialNumber) == 0
}

func (s *signerInfo) verify(body []byte, cert *x509.Certificate) error {
	h := s.hash.hash.New()
	h.Write(body)
	sum := h.Sum(nil)
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if !s.rsa {
			return errors.New("it says ECDSA, the key is RSA")
		}
		return rsa.VerifyPKCS1v15(key, s.hash.hash, sum, s.sig)
	case *ecdsa.PublicKey:
		if s.rsa {
			return errors.New("it says RSA, the key is ECDSA")
		}
		if !ecdsa.VerifyASN1(key, sum, s.sig) {
			return errors.New("it does not match")
		}
		return nil
	default:
		return fmt.Errorf("keys of type %T cannot sign lists", key)
	}
}

var errShape = errors.New("not a detached message of one signer without attributes")

func parsePKCS7(der []byte) (*signerInfo, error) {
	if len(der) > maxPKCS7 {
		return nil, fmt.Errorf("%d bytes, at most %d", len(der), maxPKCS7)
	}
	var content, explicit0, data, digests, encap, infos, info cryptobyte.String
	var oid asn1.ObjectIdentifier
	var version int64
	in := cryptobyte.String(der)
	ok := in.ReadASN1(&content, casn1.SEQUENCE) && in.Empty() &&
		content.ReadASN1ObjectIdentifier(&oid) && oid.Equal(oidSignedData) &&
		content.ReadASN1(&explicit0, explicit(0)) && content.Empty() &&
		explicit0.ReadASN1(&data, casn1.SEQUENCE) && explicit0.Empty() &&
		data.ReadASN1Integer(&version) && (version == 1 || version == 3) &&
		data.ReadASN1(&digests, casn1.SET) &&
		data.ReadASN1(&encap, casn1.SEQUENCE) &&
		encap.ReadASN1ObjectIdentifier(&oid) && oid.Equal(oidData) && encap.Empty() &&
		data.SkipOptionalASN1(explicit(0)) && // certificates
		data.ReadASN1(&infos, casn1.SET) && data.Empty() &&
		infos.ReadASN1(&info, casn1.SEQUENCE) && infos.Empty()
	if !ok {
		return nil, errShape
	}
	signer, err := parseSigner(info, version)
	if err != nil {
		return nil, err
	}
	// The kernel does not read this list, but others do.
	digest, ok := readAlgorithm(&digests)
	if !ok || !digests.Empty() || !digest.Equal(signer.hash.digest) {
		return nil, errors.New("its list of digest algorithms is not the one of its signer")
	}
	return signer, nil
}

// parseSigner wants the signer of the same version as the message, as the kernel
// does.
func parseSigner(info cryptobyte.String, message int64) (*signerInfo, error) {
	s := &signerInfo{serial: new(big.Int)}
	var version int64
	if !info.ReadASN1Integer(&version) || version != message {
		return nil, errShape
	}
	byKeyID := casn1.Tag(0).ContextSpecific()
	switch {
	case version == 1:
		var id, issuer cryptobyte.String
		if !info.ReadASN1(&id, casn1.SEQUENCE) || !id.ReadASN1Element(&issuer, casn1.SEQUENCE) ||
			!id.ReadASN1Integer(s.serial) || !id.Empty() {
			return nil, errShape
		}
		s.issuer = issuer
	case version == 3 && info.PeekASN1Tag(byKeyID):
		var id cryptobyte.String
		if !info.ReadASN1(&id, byKeyID) || id.Empty() {
			return nil, errShape
		}
		s.keyID = id
	default:
		return nil, errShape
	}
	digest, ok1 := readAlgorithm(&info)
	signature, ok2 := readAlgorithm(&info)
	var sig cryptobyte.String
	if !ok1 || !ok2 || !info.ReadASN1(&sig, casn1.OCTET_STRING) || !info.Empty() {
		return nil, errShape
	}
	s.sig = sig
	for _, h := range pkcs7Hashes {
		if h.digest.Equal(digest) {
			s.hash = h
		}
	}
	s.rsa = signature.Equal(oidRSA)
	switch {
	case s.hash.hash == 0:
		return nil, fmt.Errorf("unsupported digest algorithm %s", digest)
	case !s.rsa && !signature.Equal(s.hash.ecdsa):
		return nil, fmt.Errorf("unsupported signature algorithm %s with digest %s", signature, digest)
	}
	return s, nil
}

// readAlgorithm reads an AlgorithmIdentifier whose parameters are absent or NULL.
func readAlgorithm(s *cryptobyte.String) (asn1.ObjectIdentifier, bool) {
	var id, null cryptobyte.String
	var oid asn1.ObjectIdentifier
	var present bool
	ok := s.ReadASN1(&id, casn1.SEQUENCE) && id.ReadASN1ObjectIdentifier(&oid) &&
		id.ReadOptionalASN1(&null, &present, casn1.NULL) && null.Empty() && id.Empty()
	return oid, ok
}
