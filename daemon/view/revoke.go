// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// Revocation is a recorded revocation as the keyring knows it, nil for nil.
func Revocation(r *record.KeyRevocation) *pgp.Revocation {
	if r == nil {
		return nil
	}
	return &pgp.Revocation{Time: r.When, Hard: r.Hard, Unread: r.Unread, Reason: "key was revoked by " + r.Source, Text: r.Reason}
}

// FindKey reads a key as an administrator names it: a fingerprint or the end of
// one, at least eight digits.
func (s *Snapshot) FindKey(text string) (record.Key, error) {
	id := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(text, " ", ""), "0x"))
	var found []record.Key
	for fingerprint, k := range s.Keys {
		if fingerprint == id || len(id) >= 8 && strings.HasSuffix(fingerprint, id) {
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
