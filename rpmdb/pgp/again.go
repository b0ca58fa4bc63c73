// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rules is the version of the rules by which Verify judges. It rises with every release that
// refuses what an earlier one accepted: the headers that the earlier one verified must then be
// verified again, instead of only judged by [Keyring.Judge].
const Rules = 1

// Signed has the facts about a verified signature that are needed to judge it again without its
// header.
type Signed struct {
	Key  string    // fingerprint of the key or subkey that made it, as Result.KeyFingerprint
	Made time.Time // as Result.Created
	Ends time.Time // as Result.Ends, zero: never
}

// Judge decides whether a signature that Verify accepted earlier may vouch by the keys of k, and
// returns its certificate. A key has only one fingerprint, so the signature still fits its
// header, whatever has changed since; everything else is judged as in Verify. The error is a
// *RevokedError, *ExpiredError, *WeakError or *UnknownKeyError. A clock that was set back
// refuses nothing, because the signature existed already.
func (k *Keyring) Judge(s Signed, now time.Time) (*Cert, error) {
	now = later(now, s.Made)
	sig := &signature{fingerprint: strings.ToLower(s.Key), created: s.Made, expires: s.Ends}
	sig.keyID, _ = strconv.ParseUint(idOf(sig.fingerprint), 16, 64)
	var closest error
	for _, key := range k.byID[sig.keyID] {
		if key.fact.fingerprint != sig.fingerprint {
			continue
		}
		err := key.judge(sig, now, k.options)
		if err == nil {
			return key.cert, nil
		}
		if closest == nil || rank(err) > rank(closest) {
			closest = err
		}
	}
	if weak := new(WeakError); closest == nil || errors.As(closest, &weak) {
		if err := k.revokedAway(sig); err != nil {
			closest = err
		}
	}
	if closest == nil {
		closest = &UnknownKeyError{KeyIDs: []string{sig.fingerprint}}
	}
	return nil, closest
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Same reports whether k judges every signature as other does.
func (k *Keyring) Same(other *Keyring) bool {
	return slices.Equal(k.described(), other.described())
}

// describe lists all that judgements depend on, in order.
func (k *Keyring) describe() []string {
	revocation := func(b []byte, r *Revocation) []byte {
		if r == nil {
			return append(b, " none"...)
		}
		b = strconv.AppendBool(append(b, ' '), r.Hard)
		b = strconv.AppendInt(append(b, ' '), r.Time.Unix(), 10)
		return strconv.AppendQuote(append(b, ' '), r.Reason)
	}
	lines := []string{fmt.Sprint("options ", k.options.AllowSHA1, k.options.NoExpired, k.options.FIPS)}
	var b []byte
	for fingerprint, r := range k.options.Revoked {
		b = append(append(b[:0], "revoked "...), fingerprint...)
		lines = append(lines, string(revocation(b, r)))
	}
	for _, keys := range k.byID {
		for _, key := range keys {
			b = append(append(b[:0], "key "...), key.fact.fingerprint...)
			b = append(append(b, " of "...), key.cert.Fingerprint...)
			b = strconv.AppendQuote(append(b, ' '), key.weak)
			b = revocation(revocation(b, key.revoked), key.cert.Revoked)
			b = strconv.AppendQuote(append(b, ' '), key.held)
			lines = append(lines, string(strconv.AppendInt(append(b, ' '), key.expires.Unix(), 10)))
		}
	}
	slices.Sort(lines)
	return lines
}
