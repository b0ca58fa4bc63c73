// SPDX-License-Identifier: Apache-2.0

// Package state holds the tables of the ledger: lists, lines of versions, keys, denials,
// own lists, the log of decisions, problems; what takes an event back ([State.Rollback],
// [State.Revert]); the [Plan] that an event leaves; and what all events share: a list is
// settled, retired or suspended here and nowhere else.
package state
