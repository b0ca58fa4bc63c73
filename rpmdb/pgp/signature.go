// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	openpgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// maxSignature is far above what the largest algorithm (SLH-DSA) needs.
const maxSignature = 64 << 10

// signature is a signature packet over a header, of version 3, 4 or 6.
type signature struct {
	version     int
	algo        byte
	hash        crypto.Hash
	keyID       uint64
	fingerprint string // of the signing key if the signature names it, lower-case hex
	created     time.Time
	expires     time.Time // zero: never

	salt   []byte // hashed before the header (v6)
	suffix []byte // hashed after the header
	tag    []byte // first two bytes of the digest, checked in v6 only

	// One of these forms, by algorithm.
	rsa    []byte
	r, s   []byte
	native []byte
	parsed *packet.Signature // what the library made of it, nil for v3
}

// unsupportedError is a well-formed signature that nothing can be made of.
type unsupportedError string

func (e unsupportedError) Error() string { return string(e) }

// parseSignature reads exactly one signature packet. An unsupportedError says that
// it may be fine but cannot be relied on, any other error that it is not well
// formed. With an error, the signature is nil or has its key ID only.
func parseSignature(data []byte) (*signature, error) {
	if len(data) > maxSignature {
		return nil, fmt.Errorf("%d bytes are more than any signature has", len(data))
	}
	p, rest, err := nextPacket(data)
	switch {
	case err != nil:
		return nil, err
	case p.tag != tagSignature:
		return nil, fmt.Errorf("packet of type %d is no signature", p.tag)
	case len(rest) != 0:
		return nil, fmt.Errorf("%d bytes follow the signature", len(rest))
	case len(p.body) == 0:
		return nil, errTruncated
	}
	switch version := p.body[0]; version {
	case 3:
		return parseV3(p.body)
	case 4, 6:
		return parseModern(p)
	default:
		return nil, unsupportedError(fmt.Sprintf("signature version %d is not supported", version))
	}
}

// parseModern reads a signature of version 4 or 6.
func parseModern(p rawPacket) (*signature, error) {
	if len(p.body) < 4 {
		return nil, errTruncated
	}
	// It looks first at signatures that the library refuses to parse, to give the reason.
	if err := checkForm(p.body[1], p.body[3]); err != nil {
		return nil, err
	}
	parsed, err := readPacket(p)
	if err != nil {
		var unsupported openpgperrors.UnsupportedError
		if errors.As(err, &unsupported) {
			return nil, unsupportedError(string(unsupported) + " is not supported")
		}
		return nil, err
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok {
		return nil, errors.New("packet is no signature")
	}
	for _, n := range sig.Notations {
		if n.IsCritical {
			return nil, unsupportedError(fmt.Sprintf("critical notation %q is not known", n.Name))
		}
	}
	if sig.IssuerKeyId == nil {
		return nil, errors.New("it names no issuer")
	}
	s := &signature{
		version: sig.Version,
		algo:    byte(sig.PubKeyAlgo),
		hash:    sig.Hash,
		keyID:   *sig.IssuerKeyId,
		created: sig.CreationTime,
		salt:    sig.Salt(),
		suffix:  sig.HashSuffix,
		native:  sig.EdSig,
		parsed:  sig,
	}
	if len(sig.IssuerFingerprint) != 0 {
		s.fingerprint = hex.EncodeToString(sig.IssuerFingerprint)
	}
	if secs := sig.SigLifetimeSecs; secs != nil && *secs != 0 {
		s.expires = s.created.Add(time.Duration(*secs) * time.Second)
	}
	if s.version == 6 {
		s.tag = sig.HashTag[:]
	}
	switch sig.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		s.rsa = sig.RSASignature.Bytes()
	case packet.PubKeyAlgoECDSA:
		s.r, s.s = sig.ECDSASigR.Bytes(), sig.ECDSASigS.Bytes()
	case packet.PubKeyAlgoEdDSA:
		s.r, s.s = sig.EdDSASigR.Bytes(), sig.EdDSASigS.Bytes()
	}
	return s, nil
}

// parseV3 reads the body of a version 3 signature (RFC 4880, section 5.2.2), which
// the library does not support:
//
//	version 3, hashed length 5, type, time (be32), key ID (be64),
//	public-key algorithm, hash algorithm, two bytes of the digest, integers
func parseV3(body []byte) (*signature, error) {
	const fixed = 19
	if len(body) < fixed {
		return nil, errTruncated
	}
	if body[1] != 5 {
		return nil, fmt.Errorf("hashed part has %d bytes, not 5", body[1])
	}
	s := &signature{
		version: 3,
		algo:    body[15],
		keyID:   binary.BigEndian.Uint64(body[7:]),
		created: time.Unix(int64(binary.BigEndian.Uint32(body[3:])), 0),
		suffix:  body[2:7],
	}
	if err := checkForm(body[2], body[16]); err != nil {
		return s, err
	}
	s.hash, _ = hashByID(body[16])
	switch packet.PublicKeyAlgorithm(s.algo) {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
	default:
		return s, unsupportedError(fmt.Sprintf("version 3 signature by %s is not accepted", algorithmName(s.algo)))
	}
	var err error
	var rest []byte
	if s.rsa, rest, err = readMPI(body[fixed:]); err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes follow its integer", len(rest))
	}
	return s, nil
}

// readMPI reads an integer of RFC 9580, section 3.2: bits (be16), then its bytes.
func readMPI(b []byte) (value, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, errTruncated
	}
	bits := int(binary.BigEndian.Uint16(b))
	n := (bits + 7) / 8
	if n > len(b)-2 {
		return nil, nil, errTruncated
	}
	return b[2 : 2+n], b[2+n:], nil
}

// checkForm refuses the signature types and hash algorithms that never vouch. A
// signature over text (0x01) does not fix the bytes of a header.
func checkForm(sigType, hash byte) error {
	if sigType != byte(packet.SigTypeBinary) {
		return fmt.Errorf("signature type 0x%02x is not over binary data", sigType)
	}
	if _, ok := hashByID(hash); !ok {
		return unsupportedError(hashName(hash) + " is not accepted")
	}
	return nil
}
