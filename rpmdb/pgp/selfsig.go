// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"errors"
	"fmt"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// signature records what one signature packet of the certificate proves. It ignores
// certifications by others, which prove nothing here.
func (b *builder) signature(p rawPacket) error {
	if b.primary == nil {
		return nil
	}
	sig, err := readSelfSig(p)
	if err != nil {
		return b.unreadable(p, err)
	}
	if !sig.CheckKeyIdOrFingerprint(b.primary) && !revokesUnnamed(sig) {
		return nil
	}
	*b.work += work(b.primary)
	if b.selfSigs++; b.selfSigs > maxSelfSigs {
		return errManySelfSigs
	}
	if (sig.Version == 6) != (b.primary.Version == 6) {
		return b.unreadable(p, fmt.Errorf("version %d signature by a version %d key", sig.Version, b.primary.Version))
	}
	err = b.verify(sig)
	if err != nil && notRead(err) {
		return b.unreadable(p, err)
	}
	b.doubt(err)
	return nil
}

var errManySelfSigs = fmt.Errorf("it has more than %d self-signatures", maxSelfSigs)

// readSelfSig parses a signature of a certificate.
func readSelfSig(p rawPacket) (*packet.Signature, error) {
	if len(p.body) < 4 {
		return nil, errTruncated
	}
	if len(p.body) > maxSignature {
		return nil, fmt.Errorf("it has %d bytes, more than any signature", len(p.body))
	}
	if p.body[0] == 3 {
		return nil, errors.New("it is of version 3")
	}
	if _, ok := hashByID(p.body[3]); !ok {
		return nil, fmt.Errorf("it is over %s", hashName(p.body[3]))
	}
	parsed, err := readPacket(p)
	if err != nil {
		return nil, err
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok {
		return nil, errors.New("packet is no signature")
	}
	for _, n := range sig.Notations {
		if n.IsCritical {
			return nil, fmt.Errorf("critical notation %q is not known", n.Name)
		}
	}
	return sig, nil
}

// verify checks sig over whatever its type says it is over. A signature over the primary key
// may stand anywhere in the certificate; one over a user ID or a subkey belongs to the last of
// these.
func (b *builder) verify(sig *packet.Signature) (err error) {
	defer recovered(&err)
	switch sig.SigType {
	case packet.SigTypeKeyRevocation:
		if err = b.primary.VerifyRevocationSignature(sig); err == nil {
			b.facts.revocations = append(b.facts.revocations, newRevocation(sig))
		}
	case packet.SigTypeDirectSignature:
		if err = b.primary.VerifyDirectKeySignature(sig); err == nil {
			b.facts.direct = append(b.facts.direct, newSelfSig(sig))
		}
	case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert,
		packet.SigTypeCertificationRevocation:
		if !b.inUser {
			return nil
		}
		if err = b.primary.VerifyUserIdSignature(b.user, b.primary, sig); err != nil {
			return err
		}
		user := b.facts.user(b.user)
		if sig.SigType != packet.SigTypeCertificationRevocation {
			user.sigs = append(user.sigs, newSelfSig(sig))
		} else if sig.CreationTime.After(user.revoked) {
			user.revoked = sig.CreationTime
		}
	case packet.SigTypeSubkeyRevocation:
		if b.subkey == nil {
			return nil
		}
		if err = b.primary.VerifySubkeyRevocationSignature(sig, b.subkey); err == nil {
			sub := b.facts.subkey(b.subkeyFact)
			sub.revocations = append(sub.revocations, newRevocation(sig))
		}
	case packet.SigTypeSubkeyBinding:
		if b.subkey == nil {
			if b.subkeyFact.fingerprint != "" {
				// Unverified, but the key is weak: it only gets a name.
				sub := b.facts.subkey(b.subkeyFact)
				sub.bindings = append(sub.bindings, newSelfSig(sig))
			}
			return nil
		}
		// A binding and the revocation of a subkey are over the same bytes; this
		// verifies the primary key's part alone.
		if err = b.primary.VerifySubkeyRevocationSignature(sig, b.subkey); err == nil {
			sub := b.facts.subkey(b.subkeyFact)
			sub.bindings = append(sub.bindings, b.binding(sig))
		}
	}
	return err
}

// binding adds to a verified binding what its back signature says. Without one,
// anybody could claim the signing key of another as a subkey.
func (b *builder) binding(sig *packet.Signature) selfSig {
	s := newSelfSig(sig)
	if !s.signs {
		return s
	}
	back := sig.EmbeddedSignature
	if back != nil {
		*b.work += work(b.subkey)
	}
	switch {
	case back == nil:
		s.fault = "subkey has no back signature"
	case b.primary.VerifyKeySignature(b.subkey, sig) != nil:
		s.fault = "back signature of the subkey is bad"
	default:
		s.weakHash = s.weakHash || isWeakHash(back.Hash)
		s.expires = earlier(s.expires, sigEnd(back))
	}
	return s
}

func newSelfSig(sig *packet.Signature) selfSig {
	s := selfSig{
		created:     sig.CreationTime,
		expires:     sigEnd(sig),
		hasFlags:    sig.FlagsValid,
		signs:       sig.FlagSign,
		primaryUser: sig.IsPrimaryId != nil && *sig.IsPrimaryId,
		weakHash:    isWeakHash(sig.Hash),
	}
	if secs := sig.KeyLifetimeSecs; secs != nil {
		s.keyLifetime = time.Duration(*secs) * time.Second
	}
	return s
}

// sigEnd returns when a signature expires, zero for never.
func sigEnd(sig *packet.Signature) time.Time {
	if secs := sig.SigLifetimeSecs; secs != nil && *secs != 0 {
		return sig.CreationTime.Add(time.Duration(*secs) * time.Second)
	}
	return time.Time{}
}

// newRevocation sorts a verified revocation by its reason (RFC 9580, section
// 5.2.3.31). Only a reason that says the key was never out of its owner's hands
// makes it soft.
func newRevocation(sig *packet.Signature) Revocation {
	r := Revocation{Time: sig.CreationTime, Hard: true, Reason: "key is revoked without a reason", Text: sig.RevocationReasonText}
	if sig.RevocationReason == nil {
		return r
	}
	switch *sig.RevocationReason {
	case packet.KeySuperseded:
		r.Hard, r.Reason = false, "key is superseded"
	case packet.KeyRetired:
		r.Hard, r.Reason = false, "key is retired"
	case packet.KeyCompromised:
		r.Reason = "key is compromised"
	}
	return r
}
