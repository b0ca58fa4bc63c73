// SPDX-License-Identifier: Apache-2.0

package daemon

// keyOwner returns the user ID of a certificate, trusted or not.
func (s *snapshot) keyOwner(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	if c := s.keyring.Lookup(fingerprint); c != nil {
		return c.UserID
	}
	return s.keys[fingerprint].Owner
}
