// SPDX-License-Identifier: Apache-2.0

// Package audit carries what digestd decided to where a machine keeps such
// records: the journal, one structured record a decision, and refusals to the
// kernel's audit trail.
//
// It promises that every kind of decision has a MESSAGE_ID that never changes,
// words for people and an entry of the catalog that journalctl -x shows, all in
// one table; that no text of a package can forge a field; and that a record is
// either handed over whole or is an error.
//
// It leaves to the daemon what was decided, in which order records go, and what
// becomes of those that nobody takes.
package audit
