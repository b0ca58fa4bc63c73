// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	openpgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Unread is a revocation in a certificate that cannot be verified, because its version, its hash
// algorithm or another part of it is not supported. Nothing proves that the owner of the key
// made it, and nothing proves the contrary. So it counts against the key until an administrator
// overrules it by its Digest (see [Options]).
type Unread struct {
	Key    string    // fingerprint of the certificate or subkey that it is about, lower-case hex
	Digest string    // SHA-256 of the signature packet without its header, lower-case hex
	Reason string    // why it cannot be verified
	Own    bool      // it names the primary key as its issuer: it counts as a hard revocation
	Time   time.Time // when it says it was made, zero if that cannot be read either
}

// revocation is u as it counts if it is the key's own.
func (u *Unread) revocation() Revocation {
	return Revocation{Time: u.Time, Hard: true, Reason: "key has a revocation that cannot be verified", Text: u.Reason, Unread: true}
}

// held says why nothing new may come under the key because of u.
func (u *Unread) held() string {
	return "key " + u.Key + " has a revocation that cannot be verified, by an unknown issuer: " + u.Reason
}

// heed returns those that nobody overruled.
func heed(all []Unread, overruled map[string]bool) []Unread {
	return slices.DeleteFunc(slices.Clone(all), func(u Unread) bool { return overruled[u.Digest] })
}

// weigh adds to the revocations of a key those that could not be read, and says why
// nothing new may come under it, "" if it may.
func weigh(verified []Revocation, all []Unread) (worst *Revocation, held string) {
	verified = slices.Clone(verified)
	for i := range all {
		if u := &all[i]; u.Own {
			verified = append(verified, u.revocation())
		} else if held == "" {
			held = u.held()
		}
	}
	return gravest(verified), held
}

// addUnread adds those of more that are not in all yet.
func addUnread(all, more []Unread) []Unread {
	for _, u := range more {
		if !slices.ContainsFunc(all, func(o Unread) bool { return o.Digest == u.Digest && o.Key == u.Key }) {
			all = append(all, u)
		}
	}
	return all
}

// unreadable takes note of a signature that cannot be verified for the given reason.
// Most say nothing that matters if it is not proven; a revocation does.
func (b *builder) unreadable(p rawPacket, reason error) error {
	b.doubt(reason)
	o := readOutline(p.body)
	sum := sha256.Sum256(p.body)
	u := Unread{Key: b.facts.primary.fingerprint, Digest: hex.EncodeToString(sum[:]), Reason: reason.Error(), Time: o.created}
	own := o.names(&b.facts.primary)
	switch o.kind {
	case packet.SigTypeKeyRevocation:
		u.Own = own
	case packet.SigTypeSubkeyRevocation:
		if b.subkeyFact.fingerprint != "" {
			u.Key, u.Own = b.subkeyFact.fingerprint, own
		}
	case packet.SigTypeCertificationRevocation:
		// It takes a user ID away, not the key. Others take their own
		// certifications back in this way.
		if !own && o.named() {
			return nil
		}
	default:
		return nil
	}
	if b.selfSigs++; b.selfSigs > maxSelfSigs {
		return errManySelfSigs
	}
	if u.Key == b.facts.primary.fingerprint {
		b.facts.unread = addUnread(b.facts.unread, []Unread{u})
	} else {
		sub := b.facts.subkey(b.subkeyFact)
		sub.unread = addUnread(sub.unread, []Unread{u})
	}
	return nil
}

// notRead reports whether err says that a signature could not be judged, rather than
// that it is wrong.
func notRead(err error) bool {
	var unsupported openpgperrors.UnsupportedError
	return errors.Is(err, errLibrary) || errors.As(err, &unsupported)
}

// revokes reports whether sig is a revocation that names no issuer. Only the primary
// key's is of interest, so that is tried.
func revokesUnnamed(sig *packet.Signature) bool {
	return sig.IssuerKeyId == nil && len(sig.IssuerFingerprint) == 0 &&
		(sig.SigType == packet.SigTypeKeyRevocation || sig.SigType == packet.SigTypeSubkeyRevocation)
}

// outline is what a signature packet says of itself, in as far as it can be told
// without support for its algorithms and all of its subpackets.
type outline struct {
	kind    packet.SignatureType
	created time.Time
	ids     []uint64
	prints  [][]byte
}

// readOutline reads the body of a signature packet of any version. It omits parts that it
// cannot read.
func readOutline(body []byte) (o outline) {
	const v3 = 15 // version, hashed length, type, time (be32), key ID (be64)
	if len(body) < 3 {
		return o
	}
	version := body[0]
	if version < 4 {
		o.kind = packet.SignatureType(body[2])
		if len(body) >= v3 {
			o.created = time.Unix(int64(binary.BigEndian.Uint32(body[3:])), 0)
			o.ids = append(o.ids, binary.BigEndian.Uint64(body[7:]))
		}
		return o
	}
	o.kind = packet.SignatureType(body[1])
	if len(body) < 4 || version > 6 {
		return o
	}
	// Version, type, two algorithms; then the hashed and the other subpackets.
	for rest := body[4:]; len(rest) > 0; {
		var area []byte
		if area, rest = cutArea(rest, version == 6); area == nil {
			break
		}
		o.subpackets(area)
		if len(body)-len(rest) > maxSignature {
			break
		}
	}
	return o
}

// cutArea splits an area of subpackets off b, nil if it does not have one.
func cutArea(b []byte, wide bool) (area, rest []byte) {
	head, n := 2, 0
	if wide {
		head = 4
	}
	if len(b) < head {
		return nil, nil
	}
	if wide {
		n = int(min(binary.BigEndian.Uint32(b), maxSignature))
	} else {
		n = int(binary.BigEndian.Uint16(b))
	}
	n = min(n, len(b)-head) // what is there of one that is cut short
	return b[head : head+n : head+n], b[head+n:]
}

// subpackets reads those that say when and by whom (RFC 9580, section 5.2.3.7).
func (o *outline) subpackets(area []byte) {
	const creation, issuer, issuerFingerprint = 2, 16, 33
	for len(area) > 1 {
		n, head := int(area[0]), 1
		switch {
		case n == 255:
			if len(area) < 5 {
				return
			}
			n, head = int(min(binary.BigEndian.Uint32(area[1:]), maxSignature)), 5
		case n >= 192:
			n, head = (n-192)<<8+int(area[1])+192, 2
		}
		if n < 1 || n > len(area)-head {
			return
		}
		kind, data := area[head]&0x7f, area[head+1:head+n]
		area = area[head+n:]
		switch {
		case kind == creation && len(data) == 4:
			o.created = time.Unix(int64(binary.BigEndian.Uint32(data)), 0)
		case kind == issuer && len(data) == 8:
			o.ids = append(o.ids, binary.BigEndian.Uint64(data))
		case kind == issuerFingerprint && len(data) > 1:
			o.prints = append(o.prints, data[1:]) // which follows the key's version
		}
	}
}

// named reports whether the signature names an issuer.
func (o *outline) named() bool { return len(o.ids)+len(o.prints) > 0 }

// names reports whether the signature names key as its issuer: by fingerprint, or by
// key ID if it has no fingerprint.
func (o *outline) names(key *keyFact) bool {
	fingerprint, err := hex.DecodeString(key.fingerprint)
	if err != nil {
		return false
	}
	if len(o.prints) > 0 {
		return slices.ContainsFunc(o.prints, func(p []byte) bool { return bytes.Equal(p, fingerprint) })
	}
	return slices.Contains(o.ids, key.id)
}
