// SPDX-License-Identifier: Apache-2.0

//go:build !failpoint

package failpoint

import "time"

// Hit does nothing.
func Hit(event string, instant Instant) {}

// Blacklisted returns nothing.
func Blacklisted() []string { return nil }

// Now is what the machine's clock says.
func Now() time.Time { return time.Now() }
