// SPDX-License-Identifier: Apache-2.0

package daemon

// Who takes the log, as the index knows them.
const (
	takerJournal = "journal"
	takerKernel  = "kernel"
	// trailNone is the setting audit-trail where nobody takes it.
	trailNone = "none"
)
