// SPDX-License-Identifier: Apache-2.0

//go:build !failpoint

package failpoint

// Hit does nothing.
func Hit(event string, instant Instant) {}

// Blacklisted returns nothing.
func Blacklisted() []string { return nil }
