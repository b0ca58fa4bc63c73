// SPDX-License-Identifier: Apache-2.0

// Package store keeps the index of digestd, one of the two places of its durable state.
//
// The [Index] is a bbolt database of records: which list stands for which package and why, the
// version counters of every package line, the keys that ever vouched, and the log of decisions.
// Every change goes through [Index.Commit], all or nothing. bbolt silently opens the commit
// before the latest one if its newest meta page is damaged; so each commit is first written to
// a small file beside the database, and [Open] compares the two: it repairs a loss of one
// commit and reports a larger one.
//
// Package listdir has the other: the list directory that the kernel reads.
//
// The package decides nothing and verifies no signature. It is not safe for concurrent use.
package store
