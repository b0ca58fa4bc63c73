// SPDX-License-Identifier: Apache-2.0

// Package ledger decides what the list directory and the index are to hold. It is pure:
// it knows no disk, clock, lock, goroutine or log.
//
// Each transition is one method of [Ledger]: an event and the facts about it go in, an
// answer and a [Plan] come out. Memory, the records of the index, those of the log of
// decisions and the signals follow from it together. The executor of package daemon lets
// one event in at a time and carries out its plan, in one order:
//
//	intent durable → withdraw → publish → set aside → poke → sync → records durable → signals → labels
//
// If the intent cannot be made durable nothing has happened ([Ledger.Rollback]). Later failures
// are reported to the ledger, which knows what is left to do.
package ledger
