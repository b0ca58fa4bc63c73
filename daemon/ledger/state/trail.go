// SPDX-License-Identifier: Apache-2.0

package state

// Who takes the log, as the index knows them.
const (
	TakerJournal = "journal"
	TakerKernel  = "kernel"
	// TrailNone is the setting audit-trail where nobody takes it.
	TrailNone = "none"
)
