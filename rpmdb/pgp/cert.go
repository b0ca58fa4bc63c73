// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"fmt"
	"time"
)

// Cert is an OpenPGP certificate: a primary key, its properties, and its signing subkeys. Treat
// it as read-only, except for Source.
type Cert struct {
	Fingerprint string   // of the primary key, lower-case hex: 40 digits (v4) or 64 (v6)
	KeyIDs      []uint64 // of the primary key, then of the signing subkeys
	UserID      string   // the primary one, "" if there is none
	Algorithm   string   // "rsa3072", "ed25519", "nistp256" ...
	Version     int      // of the primary key
	Created     time.Time
	Expires     time.Time   // zero: never
	Revoked     *Revocation // nil: not revoked
	Weak        string      // why no signature of the primary key may vouch, "" if it may
	Subkeys     []Subkey    // those that claim to sign
	Held        string      // why no new package may come under it (see Unread), "" if any may
	Unread      []Unread    // revocations of it and its subkeys that cannot be verified

	Source string // where the certificate was found; set by the caller that read it

	facts *facts
}

// Subkey is a subkey that is bound as a signing key.
type Subkey struct {
	Fingerprint string // lower-case hex
	KeyID       uint64
	Algorithm   string
	Created     time.Time
	Expires     time.Time   // zero: never by itself
	Revoked     *Revocation // of the subkey itself; the primary key's counts as well
	Weak        string      // as in Cert
	Held        string      // as in Cert, for this subkey alone
}

// Proven reports whether the subkey itself has agreed to belong to its certificate, by a valid
// back signature (0x19) that is strong enough. Only a proven subkey owns its fingerprint,
// because anybody can claim another's key.
func (s *Subkey) Proven() bool { return s.Weak == "" }

// Revocation is the verified revocation of a key by its primary key.
type Revocation struct {
	Time   time.Time // when it was made
	Hard   bool      // also refuses what was signed before Time
	Reason string    // "key is compromised", "key is superseded" ... (RFC 9580, 5.2.3.31)
	Text   string    // the owner's own words, possibly ""
	Unread bool      // it cannot be verified, see [Unread]
}

// Graver reports whether the revocation refuses more than other, which may be nil: a hard one
// more than a soft one, and of two soft ones the earlier. Of two hard ones the proven one is
// graver, because it cannot be overruled.
func (r *Revocation) Graver(other *Revocation) bool {
	switch {
	case r == nil || other == nil:
		return r != nil
	case r.Hard != other.Hard:
		return r.Hard
	case r.Hard && r.Unread != other.Unread:
		return !r.Unread
	}
	return !r.Hard && r.Time.Before(other.Time)
}

// Covers reports whether the revocation refuses a signature made at t.
func (r *Revocation) Covers(t time.Time) bool {
	return r != nil && (r.Hard || !t.Before(r.Time))
}

// String describes the revocation and its time.
func (r *Revocation) String() string {
	s := r.Reason
	if !r.Time.IsZero() {
		s += " since " + r.Time.UTC().Format(time.RFC3339)
	}
	if r.Text != "" {
		s += fmt.Sprintf(" (%q)", r.Text)
	}
	return s
}
