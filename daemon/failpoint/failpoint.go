// SPDX-License-Identifier: Apache-2.0

// Package failpoint names the instants at which tests stop the daemon dead, to
// prove that a start afterwards finds its way, and what tests have the kernel
// and the clock say. In a build without the tag "failpoint" there is nothing to switch on and a
// Hit costs nothing.
package failpoint

// The environment by which tests say what is to happen.
const (
	// Variable names the instant and how often it must be passed before it kills:
	// "EVENT-INSTANT" or "EVENT-INSTANT:n".
	Variable = "DIGESTD_FAILPOINT"

	// FileVariable names a file that says the same, instead, once it is there: for an
	// instant that a daemon passes when it has run for a while.
	FileVariable = "DIGESTD_FAILPOINT_FILE"

	// LogVariable names a file to which each instant is added that is passed, one a
	// line.
	LogVariable = "DIGESTD_FAILPOINT_LOG"

	// BlacklistVariable names a file with entries that the kernel's .blacklist has
	// besides: no kernel takes any that nobody signed.
	BlacklistVariable = "DIGESTD_BLACKLIST"

	// AheadVariable is how far the clock is ahead of the machine's ("25h"), for what takes
	// days.
	AheadVariable = "DIGESTD_CLOCK_AHEAD"
)
