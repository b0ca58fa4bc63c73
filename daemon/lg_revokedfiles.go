// SPDX-License-Identifier: Apache-2.0

package daemon

// revokedKey is one key that a file in the folder of revocations names.
type revokedKey struct {
	fingerprint string
	file        string
}
