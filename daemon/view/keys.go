// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// DescribeKey describes a key to people, as it is now.
func (s *Snapshot) DescribeKey(k record.Key, now time.Time) api.Key {
	out := api.Key{
		Fingerprint: k.Fingerprint, Owner: k.Owner, Algorithm: k.Algorithm, Source: k.Source, State: api.KeyTrusted,
		Created: k.Created, Expires: k.Expires, Subkeys: k.Subkeys, FirstSeen: k.FirstSeen,
	}
	switch k.Use {
	case UseLists:
		return s.describeSigner(k, out)
	case UseDigest:
		return s.describeBanned(k, out)
	}
	out.Use = k.Use
	c := s.Keyring.Lookup(k.Fingerprint)
	if c != nil {
		out.Weak, out.Held = c.Weak, heldOf(c)
	}
	switch {
	case k.Revoked != nil:
		describeRevocation(k, &out)
	case c == nil && (k.Use != UseImport || !k.Gone.IsZero()):
		out.State = api.KeyGone
	case c != nil && c.Weak != "":
		out.State = api.KeyWeak
	case Expired(k.Expires, now):
		out.State = api.KeyExpired
	}
	for _, e := range s.Entries {
		switch {
		case e.Key != k.Fingerprint:
		case e.Active():
			out.Lists++
			out.Files += e.Files
		case e.State == record.Withheld:
			out.Withheld++
		}
	}
	return out
}

func describeRevocation(k record.Key, out *api.Key) {
	out.State = api.KeyRevoked
	out.RevokedBy, out.RevokedReason = k.Revoked.Source, k.Revoked.Reason
	out.RevokedAt, out.RevokedUID = k.Revoked.When, k.Revoked.UID
}

// describeBanned describes a digest that nothing may have: lists leave it out, or
// are withheld.
func (s *Snapshot) describeBanned(k record.Key, out api.Key) api.Key {
	out.Use, out.State = UseDigest, api.KeyGone // lifted
	if k.Revoked != nil {
		describeRevocation(k, &out)
	}
	only, id := Ban([]string{k.Fingerprint}), bannedDenial(k.Fingerprint).ID
	for _, e := range s.Entries {
		switch leaves := slices.Contains(e.Denied, id); {
		case leaves && e.Active():
			out.Lists++
		case e.State == record.Withheld && (leaves || only.List(e.Body) != ""):
			out.Withheld++
		}
	}
	return out
}

// describeSigner describes a key that signs lists: "vouching" is signing.
func (s *Snapshot) describeSigner(k record.Key, out api.Key) api.Key {
	out.Use = UseLists
	if k.Revoked != nil {
		describeRevocation(k, &out)
	} else if k.Fingerprint != s.Signer {
		out.State = api.KeyGone
	}
	for _, e := range s.Entries {
		if e.Active() && e.Signer == k.Fingerprint {
			out.Lists++
			out.Files += e.Files
		}
	}
	return out
}

// KeyOwner returns the user ID of a certificate, trusted or not.
func (s *Snapshot) KeyOwner(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	if c := s.Keyring.Lookup(fingerprint); c != nil {
		return c.UserID
	}
	return s.Keys[fingerprint].Owner
}

func Expired(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// Revocation is a recorded revocation as the keyring knows it, nil for nil.
func Revocation(r *record.KeyRevocation) *pgp.Revocation {
	if r == nil {
		return nil
	}
	return &pgp.Revocation{Time: r.When, Hard: r.Hard, Unread: r.Unread, Reason: "key was revoked by " + r.Source, Text: r.Reason}
}

// NamesKey reports whether text, as an administrator writes it, names the key of a
// fingerprint: by that, or by at least eight digits at its end.
func NamesKey(text, fingerprint string) bool {
	id := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(text, " ", ""), "0x"))
	return fingerprint == id || len(id) >= 8 && strings.HasSuffix(fingerprint, id)
}

// FindKey returns the key that text names; see [NamesKey].
func (s *Snapshot) FindKey(text string) (record.Key, error) {
	var found []record.Key
	for fingerprint, k := range s.Keys {
		if NamesKey(text, fingerprint) {
			found = append(found, k)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return record.Key{}, api.Errorf(api.InvalidArgument, "%q is the end of %d keys: give the whole fingerprint", text, len(found))
	}
	return record.Key{}, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no key %q is known here", text), Advice: "see digestctl keys"}
}

// RevokedByItself returns a certificate that still has the revocation of k, its own or
// that of its subkey.
func (s *Snapshot) RevokedByItself(k record.Key) *pgp.Cert {
	recorded := Revocation(k.Revoked)
	inIt := func(fingerprint string, r *pgp.Revocation) bool {
		return fingerprint == k.Fingerprint && r != nil && (recorded == nil || r.Reason != recorded.Reason || r.Text != recorded.Text)
	}
	for _, c := range s.Keyring.Certs() {
		if inIt(c.Fingerprint, c.Revoked) {
			return c
		}
		for i := range c.Subkeys {
			if sub := &c.Subkeys[i]; sub.Proven() && inIt(sub.Fingerprint, sub.Revoked) {
				return c
			}
		}
	}
	return nil
}

const (
	// PreparedSuffix marks an identity that may be enrolled but signs nothing yet.
	PreparedSuffix = ".prepared"
	// NextSuffix marks one that takes over, as soon as its certificate has it.
	NextSuffix = ".next"
	// OldDir keeps the certificates that signed before.
	OldDir = "signing-old"

	// UseLists marks the record of a key that signs lists, not packages.
	UseLists = api.UseLists
)

// UnreadOf returns, by certificate, the digests of the revocations of a key or subkey
// that cannot be verified.
func (s *Snapshot) UnreadOf(fingerprint string) map[string][]string {
	found := map[string][]string{}
	for _, c := range s.Keyring.Certs() {
		for _, u := range c.Unread {
			if u.Key == fingerprint {
				found[c.Fingerprint] = append(found[c.Fingerprint], u.Digest)
			}
		}
	}
	return found
}

// FindUnread reads the name of a key as FindKey does, of those that have a revocation
// that cannot be verified: also subkeys, of which there need not be a record.
func (s *Snapshot) FindUnread(text string) (fingerprint string) {
	for _, c := range s.Keyring.Certs() {
		for _, u := range c.Unread {
			if !NamesKey(text, u.Key) || u.Key == fingerprint {
				continue
			}
			if fingerprint != "" {
				return "" // ambiguous
			}
			fingerprint = u.Key
		}
	}
	return fingerprint
}

// heldOf says why nothing new may come under a certificate or all of its subkeys.
func heldOf(c *pgp.Cert) string {
	for i := 0; c.Held == "" && i < len(c.Subkeys); i++ {
		if c.Subkeys[i].Held != "" {
			return c.Subkeys[i].Held
		}
	}
	return c.Held
}

const (
	KeyPGP  = "pgp"
	KeyX509 = "x509"
	// UseImport marks the record of a certificate that signed an imported list.
	UseImport = api.UseImport
	// MaxCertificate bounds a file of certificates.
	MaxCertificate = 1 << 20
)
