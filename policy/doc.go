// SPDX-License-Identifier: Apache-2.0

// Package policy decides whether the digest list of a package may exist.
//
// It promises decisions only: no files, no clock, no network, no memory; all
// that a decision needs is an argument, and what a decision changes is
// returned. It leaves to others to remember lines, to verify signatures and to
// carry out what was decided.
package policy
