// SPDX-License-Identifier: Apache-2.0

//go:build race

package pgp_test

// slowdown is what the race detector costs the curves that have no assembly.
const slowdown = 8
