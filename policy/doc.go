// SPDX-License-Identifier: Apache-2.0

// Package policy decides whether the digest list of a package may exist.
//
// It is pure: it uses no files, clock, network or shared memory. The arguments have everything
// that a decision needs, and the result has its changes. Callers store lines, verify signatures
// and carry decisions out.
package policy
