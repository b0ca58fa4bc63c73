// SPDX-License-Identifier: Apache-2.0

// Package audit sends the decisions of digestd to the journal, one structured record for each,
// and refusals to the kernel's audit trail.
//
// One table defines the kinds of decisions: a MESSAGE_ID that never changes, a phrase for
// people, and the catalog entry that journalctl -x shows. Texts of packages cannot forge a
// field. A record is sent completely, or sending returns an error.
//
// The caller decides, orders the records, and keeps those that could not be sent.
package audit
