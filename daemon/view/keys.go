// SPDX-License-Identifier: Apache-2.0

package view

import (
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/api"
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
