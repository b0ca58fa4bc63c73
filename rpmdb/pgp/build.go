// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	openpgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// builder puts one certificate together from its packets.
type builder struct {
	facts   *facts
	primary *packet.PublicKey // nil if weak

	// The subject of the signatures that follow: a user ID, a subkey or neither.
	inUser     bool
	user       string
	subkey     *packet.PublicKey // nil if weak
	subkeyFact keyFact           // has a fingerprint if there is a subkey

	subkeys, selfSigs int
	work              *int // that verifying took, in all of the input
}

// newBuilder begins a certificate with its primary key. A weak one vouches for
// nothing, so nothing that it says is verified: that may take arbitrarily long.
func newBuilder(p rawPacket, work *int) (*builder, error) {
	fact, pk, err := readKey(p)
	if err != nil {
		return nil, err
	}
	if fact.weak != "" {
		pk = nil
	}
	return &builder{facts: &facts{primary: fact}, primary: pk, work: work}, nil
}

// add takes the next packet of the certificate. An error means that the
// certificate cannot be relied on.
func (b *builder) add(p rawPacket) error {
	switch p.tag {
	case tagSignature:
		return b.signature(p)
	case tagUserID:
		if len(p.body) > maxUserID {
			return fmt.Errorf("it has a user ID of %d bytes, at most %d are possible", len(p.body), maxUserID)
		}
		b.over(string(p.body), true)
		b.facts.user(b.user)
	case tagUserAttribute:
		b.over("", false)
	case tagPublicSubkey:
		if b.subkeys++; b.subkeys > maxSubkeys {
			return fmt.Errorf("it has more than %d subkeys", maxSubkeys)
		}
		b.over("", false)
		b.subkeyFact, b.subkey = readSubkey(p)
	case tagSecretKey, tagSecretSubkey:
		return errors.New("it holds a secret key")
	case tagTrust, tagMarker, tagPadding:
	default:
		if p.tag < tagNonCritical {
			return fmt.Errorf("it has a packet of type %d", p.tag)
		}
	}
	return nil
}

// over starts what the next signatures are over.
func (b *builder) over(user string, inUser bool) {
	b.user, b.inUser = user, inUser
	b.subkey, b.subkeyFact = nil, keyFact{}
}

// doubt keeps the first reasons why signatures did not count.
func (b *builder) doubt(err error) {
	if err != nil && len(b.facts.doubts) < 4 {
		b.facts.doubts = append(b.facts.doubts, err.Error())
	}
}

// readKey reads the packet of a primary key or subkey. A key of a kind that the
// library does not know is described and marked weak, and has no PublicKey.
func readKey(p rawPacket) (keyFact, *packet.PublicKey, error) {
	fact, err := identify(p.body)
	if err != nil {
		return fact, nil, err
	}
	parsed, err := readPacket(p)
	if err != nil {
		var unsupported openpgperrors.UnsupportedError
		if errors.As(err, &unsupported) {
			fact.algorithm = algorithmName(fact.algo)
			fact.weak = "key is of a kind that is not supported: " + string(unsupported)
			return fact, nil, nil
		}
		return fact, nil, err
	}
	pk, ok := parsed.(*packet.PublicKey)
	if !ok {
		return fact, nil, errors.New("packet is no public key")
	}
	if fact.algorithm, fact.weak = describe(pk); fact.weak == "" {
		if fact.material, err = newMaterial(pk); err != nil {
			return fact, nil, err
		}
	}
	return fact, pk, nil
}

// readSubkey is readKey for a subkey, which does not spoil its certificate: if it
// cannot be read it is weak, and no key at all without a fingerprint. A weak one
// has no PublicKey.
func readSubkey(p rawPacket) (keyFact, *packet.PublicKey) {
	fact, pk, err := readKey(p)
	if err != nil {
		fact.algorithm = algorithmName(fact.algo)
		fact.weak = "key cannot be read: " + err.Error()
	}
	if fact.weak != "" {
		return fact, nil
	}
	return fact, pk
}

// identify computes the fingerprint and key ID of a key packet (RFC 9580, section
// 5.5.4; version 5 is that of LibrePGP) without knowing its algorithm.
func identify(body []byte) (keyFact, error) {
	const head = 6 // version, time (be32), algorithm: in all versions from 4 on
	if len(body) < head {
		return keyFact{}, errTruncated
	}
	if len(body) > maxKey {
		return keyFact{}, errors.New("key is too large")
	}
	f := keyFact{
		version: int(body[0]),
		created: time.Unix(int64(binary.BigEndian.Uint32(body[1:])), 0),
		algo:    body[5],
	}
	switch f.version {
	case 4:
		prefix := binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(body)))
		sum := sha1.Sum(append(prefix, body...))
		f.fingerprint = hex.EncodeToString(sum[:])
		f.id = binary.BigEndian.Uint64(sum[len(sum)-8:])
	case 5, 6:
		prefix := binary.BigEndian.AppendUint32([]byte{0x95 + body[0]}, uint32(len(body)))
		sum := sha256.Sum256(append(prefix, body...))
		f.fingerprint = hex.EncodeToString(sum[:])
		f.id = binary.BigEndian.Uint64(sum[:])
	default:
		return f, fmt.Errorf("key version %d is not supported", f.version)
	}
	return f, nil
}
