// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
)

// A certificate may hold a revocation that cannot be verified (pgp.Unread). If it
// names the key as its issuer it counts as a hard revocation. Else the key keeps what
// it has vouched for, and vouches for nothing new, until the certificate is replaced
// or an administrator overrules that one revocation: digestctl keys restore.

// UnlessHeld withholds a package that is new under a key of which a revocation cannot be
// verified. An active list of the same header stays.
func (s *Grounds) UnlessHeld(c *view.Candidate, d policy.Decision) policy.Decision {
	if d.Verdict != policy.Allow || c.Held == "" {
		return d
	}
	if e := s.ByHeader[c.Header]; e != nil && e.Active() {
		return d
	}
	return policy.KeyHeld(c.Pkg, c.Held)
}

// overruled returns the digests of all revocations that an administrator overruled.
func (s *Grounds) overruled() map[string]bool {
	m := map[string]bool{}
	for _, k := range s.Keys {
		for _, digest := range k.Overruled {
			m[digest] = true
		}
	}
	return m
}

// tellOfHeld says so when a key may vouch for nothing new.
func (s *Grounds) tellOfHeld() {
	const id = "keys-held"
	s.Solved(id)
	var held []string
	var first string
	for _, c := range s.Keyring.Certs() {
		for _, u := range c.Unread {
			if u.Own || c.Revoked != nil && c.Revoked.Hard {
				continue
			}
			if held = append(held, u.Key); first == "" {
				first = fmt.Sprintf("key %s in %s has a revocation that cannot be verified (%s)", u.Key, c.Source, u.Reason)
			}
		}
	}
	slices.Sort(held)
	held = slices.Compact(held)
	if len(held) == 0 {
		return
	}
	if len(held) > 1 {
		first += fmt.Sprintf(", and so have %s", view.Plural(len(held)-1, "more key"))
	}
	s.Problem(id, api.SeverityWarning, first+"; new packages signed with it get no list",
		"get a new copy of the certificate from its owner; if the key is good: digestctl keys restore "+held[0]+" --reason WHY")
}
