// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// revocation is a recorded revocation as the keyring knows it, nil for nil.
func revocation(r *record.KeyRevocation) *pgp.Revocation {
	if r == nil {
		return nil
	}
	return &pgp.Revocation{Time: r.When, Hard: r.Hard, Unread: r.Unread, Reason: "key was revoked by " + r.Source, Text: r.Reason}
}

// findKey reads a key as an administrator names it: a fingerprint or the end of
// one, at least eight digits.
func (s *snapshot) findKey(text string) (record.Key, error) {
	id := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(text, " ", ""), "0x"))
	var found []record.Key
	for fingerprint, k := range s.keys {
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

// revokedByItself returns a certificate that still has the revocation of k, its own or
// that of its subkey.
func (s *snapshot) revokedByItself(k record.Key) *pgp.Cert {
	recorded := revocation(k.Revoked)
	inIt := func(fingerprint string, r *pgp.Revocation) bool {
		return fingerprint == k.Fingerprint && r != nil && (recorded == nil || r.Reason != recorded.Reason || r.Text != recorded.Text)
	}
	for _, c := range s.keyring.Certs() {
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
