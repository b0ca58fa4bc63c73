// SPDX-License-Identifier: Apache-2.0

// Package policy decides whether the digest list of a package may exist.
//
// It only decides, without files, clock, network or memory: the arguments have everything that
// a decision needs, and the result has its changes. Others remember lines, verify signatures
// and carry decisions out.
package policy
