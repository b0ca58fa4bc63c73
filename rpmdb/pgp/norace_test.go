// SPDX-License-Identifier: Apache-2.0

//go:build !race

package pgp_test

// slowdown is for the race detector.
const slowdown = 1
