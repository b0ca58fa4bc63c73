// SPDX-License-Identifier: Apache-2.0

// Package audit sends the decisions of digestd to the journal, one structured record for each,
// and refusals to the kernel's audit trail.
//
// It promises that every kind of decision has a MESSAGE_ID that never changes,
// words for people and an entry of the catalog that journalctl -x shows, all in
// one table; that no text of a package can forge a field; and that a record is
// either handed over whole or is an error.
//
// The daemon decides, orders the records, and keeps those that nobody takes.
package audit
