// SPDX-License-Identifier: Apache-2.0

// Package rpmdb reads what is installed, and which keys rpm trusts, straight
// from rpm's database: the sqlite form and the ndb form (SUSE). It needs no
// librpm and never writes.
//
// rpm must not notice that somebody reads. A reader that holds a read
// transaction of the sqlite form makes rpm wait at its end, so a pass reads
// batches of about 1 MiB, each in a read transaction of its own that is over
// before the caller sees the first header of the batch. The ndb form is locked
// for the time of one batch. In return a pass is not a snapshot: what changes
// meanwhile is seen or is not, and in an upgrade both versions may be. Take a
// [DB.Stamp] before and after to know.
//
// The sqlite form is opened with mode=ro, which sees what rpm has committed to
// the write-ahead log, and leaves the -wal and -shm files in place for
// unprivileged users of rpm. It takes them when they are missing and can be
// created. Only where that is impossible, as on a read-only image, and only if
// there is no log to miss, the file is read as immutable, with a check that it
// is. Files of the database are never opened besides: closing any descriptor of
// rpmdb.sqlite in this process drops the locks of a connection that is open.
//
// Headers are passed on as stored, for digestlist/header to parse. Package rpmdb/pgp interprets
// keys. Berkeley DB (rpm before 4.16) is not read.
package rpmdb
