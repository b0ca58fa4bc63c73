// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"fmt"
	"time"
)

// Cert is an OpenPGP certificate: a primary key, what it says of itself, and
// its signing subkeys. Treat it as read-only, except for Source.
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

	Source string // where the certificate was found; set by whoever read it

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
}

// Revocation is the verified revocation of a key by its primary key.
type Revocation struct {
	Time   time.Time // when it was made
	Hard   bool      // also refuses what was signed before Time
	Reason string    // "key is compromised", "key is superseded" ... (RFC 9580, 5.2.3.31)
	Text   string    // the owner's own words, possibly ""
}

// Covers reports whether the revocation refuses a signature made at t.
func (r *Revocation) Covers(t time.Time) bool {
	return r != nil && (r.Hard || !t.Before(r.Time))
}

// String says what happened, and when.
func (r *Revocation) String() string {
	s := r.Reason + " since " + r.Time.UTC().Format(time.RFC3339)
	if r.Text != "" {
		s += fmt.Sprintf(" (%q)", r.Text)
	}
	return s
}
