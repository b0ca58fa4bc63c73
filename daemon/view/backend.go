// SPDX-License-Identifier: Apache-2.0

package view

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
