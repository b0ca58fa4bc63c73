// SPDX-License-Identifier: Apache-2.0

package view

import (
	"strings"

	"github.com/digestd/digestd/rpmdb/pgp"
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

// FindUnread reads the name of a key as findKey does, of those that have a revocation
// that cannot be verified: also subkeys, of which there need not be a record.
func (s *Snapshot) FindUnread(text string) (fingerprint string) {
	id := strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(text, " ", ""), "0x"))
	for _, c := range s.Keyring.Certs() {
		for _, u := range c.Unread {
			if u.Key != id && (len(id) < 8 || !strings.HasSuffix(u.Key, id)) || u.Key == fingerprint {
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
