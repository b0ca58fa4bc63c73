// SPDX-License-Identifier: Apache-2.0

package grounds

// RevokedKey is one key that a file in the folder of revocations names.
type RevokedKey struct {
	Fingerprint string
	File        string
}
