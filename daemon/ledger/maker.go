// SPDX-License-Identifier: Apache-2.0

package ledger

// Ways to sign lists that leave nothing on them by which they are known as ours.
const (
	SignNone = "none"
	SignPGP  = "pgp" // the package's own signature
)
