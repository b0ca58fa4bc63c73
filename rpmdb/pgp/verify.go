// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"github.com/digestd/digestd/digestlist/header"
)

// maxSignatures is how many signatures of one header are verified. rpm 6 adds one for each
// signer.
const maxSignatures = 32

// clockSkew is how far the clock of a signer may be ahead of ours.
const clockSkew = 30 * time.Minute

// Result describes the key that vouches for a header.
type Result struct {
	Cert           *Cert     // as merged by the keyring
	KeyFingerprint string    // of the key that signed: Cert's own or a subkey's
	Created        time.Time // when the signature was made, by its own statement
	Ends           time.Time // when the signature expires, by its own statement; zero: never
	Hash           string    // "SHA-256" ...
	Version        int       // of the signature: 3, 4 or 6
	Index          int       // index of the signature in the arguments of Verify
	Held           string    // why nothing new may come under the key, "" if it may (see Unread)
}

// Verify returns the key that vouches for the header with the given immutable region (without
// its magic). It tries the signatures with the tags RSAHEADER, DSAHEADER and OPENPGP, and
// ignores others.
//
// The first good signature by a key of the keyring vouches. A bad signature by a known key, or a
// malformed one, refuses the header whatever the others are. Signatures by unknown, weak,
// revoked or expired keys do not count. If none is left, the error is that of the signature that
// came closest: *RevokedError, *ExpiredError, *FutureError, *WeakError, *UnknownKeyError, or
// ErrUnsigned if there was no signature. A refusal is a *BadSignatureError.
//
// now limits the life of the signatures themselves; keys are judged by the time of the
// signature, except with Options.NoExpired.
func (k *Keyring) Verify(region []byte, sigs []header.Signature, now time.Time) (*Result, error) {
	return k.VerifyHashed(region, nil, sigs, now)
}

// VerifyHashed is Verify for a caller that has hashed the header. hashed is the state of SHA-256
// after the header's magic and its region (header.Header.Hashed), or nil; it is not changed.
func (k *Keyring) VerifyHashed(region []byte, hashed hash.Cloner, sigs []header.Signature, now time.Time) (*Result, error) {
	var (
		good    *Result
		closest error
		unknown []string
		seen    int
	)
	for i, s := range sigs {
		if s.Tag != header.TagRSAHeader && s.Tag != header.TagDSAHeader && s.Tag != header.TagOpenPGP {
			continue
		}
		if seen++; seen > maxSignatures {
			return nil, &BadSignatureError{Reason: fmt.Sprintf("header has more than %d signatures", maxSignatures)}
		}
		result, err := k.verify(message{region: region, hashed: hashed}, s.Data, now)
		var bad *BadSignatureError
		var stranger *UnknownKeyError
		switch {
		case errors.As(err, &bad):
			return nil, err
		case errors.As(err, &stranger):
			unknown = append(unknown, stranger.KeyIDs...)
		case err != nil:
			if rank(err) > rank(closest) {
				closest = err
			}
		case good == nil:
			result.Index = i
			good = result
		}
	}
	switch {
	case good != nil:
		return good, nil
	case closest != nil:
		return nil, closest
	case len(unknown) > 0:
		slices.Sort(unknown)
		return nil, &UnknownKeyError{KeyIDs: slices.Compact(unknown)}
	}
	return nil, ErrUnsigned
}

// rank orders the reasons why a signature does not count by how much they explain.
func rank(err error) int {
	switch err.(type) {
	case *RevokedError:
		return 3
	case *ExpiredError, *FutureError:
		return 2
	case *WeakError:
		return 1
	}
	return 0
}

// verify checks one signature.
func (k *Keyring) verify(m message, data []byte, now time.Time) (*Result, error) {
	s, err := parseSignature(data)
	if err != nil {
		var id string
		if s != nil {
			id = formatID(s.keyID)
		}
		var unsupported unsupportedError
		if errors.As(err, &unsupported) {
			return nil, &WeakError{KeyID: id, Reason: err.Error()}
		}
		return nil, &BadSignatureError{KeyID: id, Reason: err.Error()}
	}
	var closest error
	for _, key := range k.byID[s.keyID] {
		if s.fingerprint != "" && s.fingerprint != key.fact.fingerprint {
			continue
		}
		result, err := k.verifyBy(key, m, s, now)
		if err == nil {
			return result, nil
		}
		if closest == nil || rank(err) > rank(closest) {
			closest = err
		}
	}
	// A claim that the key never confirmed is a poor reason beside a revocation.
	if weak := new(WeakError); closest == nil || errors.As(closest, &weak) {
		closest = cmp.Or(k.revokedAway(s), closest)
	}
	switch {
	case closest != nil:
		return nil, closest
	case s.fingerprint != "":
		return nil, &UnknownKeyError{KeyIDs: []string{s.fingerprint}}
	}
	return nil, &UnknownKeyError{KeyIDs: []string{formatID(s.keyID)}}
}

// revokedAway returns an error if the key of s is not in the keyring but known as revoked.
// Nothing proves that this key made the signature; that does not matter, because the signature
// is refused anyway and this is the better reason.
func (k *Keyring) revokedAway(s *signature) error {
	for fingerprint, r := range k.options.Revoked {
		if k.Lookup(fingerprint) != nil {
			continue
		}
		if s.fingerprint == fingerprint || s.fingerprint == "" && formatID(s.keyID) == idOf(fingerprint) {
			return &RevokedError{Fingerprint: fingerprint, Reason: r.String()}
		}
	}
	return nil
}

// idOf returns the key ID within a fingerprint (RFC 9580, 5.5.4): the end of a
// v4 one, the start of a v6 one.
func idOf(fingerprint string) string {
	const digits = 16
	switch {
	case len(fingerprint) == 40:
		return fingerprint[40-digits:]
	case len(fingerprint) > digits:
		return fingerprint[:digits]
	}
	return fingerprint
}

// verifyBy checks a signature that names key.
func (k *Keyring) verifyBy(key *signingKey, m message, s *signature, now time.Time) (*Result, error) {
	fingerprint := key.fact.fingerprint
	bad := func(reason string) error {
		return &BadSignatureError{KeyID: formatID(s.keyID), Fingerprint: fingerprint, Reason: reason}
	}
	weak := func(reason string) error {
		return &WeakError{KeyID: formatID(s.keyID), Fingerprint: fingerprint, Reason: reason}
	}
	if key.fact.material == nil {
		return nil, weak(key.weak)
	}
	if isWeakHash(s.hash) && (!k.options.AllowSHA1 || k.options.FIPS) {
		return nil, weak(s.hash.String() + " is not accepted")
	}
	if s.algo != key.fact.algo {
		return nil, bad("it is of another algorithm than the key")
	}
	if (s.version == 6) != (key.fact.version == 6) {
		return nil, bad(fmt.Sprintf("version %d signature by a version %d key", s.version, key.fact.version))
	}
	digest := s.digest(m)
	if s.tag != nil && string(digest[:2]) != string(s.tag) || !key.fact.material.verify(digest, s) {
		return nil, bad("it does not fit the header")
	}
	if err := key.judge(s, now, k.options); err != nil {
		return nil, err
	}
	return &Result{
		Cert:           key.cert,
		KeyFingerprint: fingerprint,
		Created:        s.created,
		Ends:           s.expires,
		Hash:           s.hash.String(),
		Version:        s.version,
		Held:           key.held,
	}, nil
}

// message is a header as signatures cover it.
type message struct {
	region []byte
	hashed hash.Cloner // SHA-256 after magic and region, if the caller had it
	plain  bool        // it is no header, and has no magic
}

// digest hashes the header as the signature does (RFC 9580, section 5.2.4).
func (s *signature) digest(m message) []byte {
	if m.hashed != nil && s.hash == crypto.SHA256 && len(s.salt) == 0 {
		if h, err := m.hashed.Clone(); err == nil {
			h.Write(s.suffix)
			return h.Sum(nil)
		}
	}
	h := s.hash.New()
	h.Write(s.salt)
	if !m.plain {
		h.Write([]byte(header.Magic))
	}
	h.Write(m.region)
	h.Write(s.suffix)
	return h.Sum(nil)
}

// judge decides whether a correct signature may vouch.
func (key *signingKey) judge(s *signature, now time.Time, o Options) error {
	expired := func(format string, t time.Time) error {
		return &ExpiredError{Fingerprint: key.fact.fingerprint, Signed: s.created, Reason: fmt.Sprintf(format, t.UTC().Format(time.RFC3339))}
	}
	primary := key.cert.facts.primary
	switch {
	case key.cert.Revoked.Covers(s.created):
		return &RevokedError{Fingerprint: key.fact.fingerprint, Reason: key.cert.Revoked.String()}
	case key.revoked.Covers(s.created):
		return &RevokedError{Fingerprint: key.fact.fingerprint, Reason: key.revoked.String()}
	case key.weak != "":
		return &WeakError{KeyID: formatID(s.keyID), Fingerprint: key.fact.fingerprint, Reason: key.weak}
	case s.created.Before(key.fact.created):
		return expired("signature is older than its key, of %s", key.fact.created)
	case s.created.Before(primary.created):
		return expired("signature is older than the primary key, of %s", primary.created)
	case !key.expires.IsZero() && !s.created.Before(key.expires):
		return expired("key had expired when it signed, at %s", key.expires)
	case o.NoExpired && !key.expires.IsZero() && !now.Before(key.expires):
		return expired("key expired at %s", key.expires)
	case !s.expires.IsZero() && !now.Before(s.expires):
		return expired("signature expired at %s", s.expires)
	case s.created.After(now.Add(clockSkew)):
		return &FutureError{Fingerprint: key.fact.fingerprint, Signed: s.created, From: s.created.Add(-clockSkew)}
	}
	return nil
}

func formatID(id uint64) string { return fmt.Sprintf("%016x", id) }
