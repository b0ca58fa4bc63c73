// SPDX-License-Identifier: Apache-2.0

// Package wire speaks protocol version 1 between the hooks that package managers
// load and the daemon, over a SOCK_STREAM Unix socket; docs/protocol.md has the
// byte tables. It serves both ends: [Conn] carries messages in either direction,
// [Client] is the hook's side with one method for each step of a transaction.
//
// It promises that no input makes it panic, read beyond a frame, or hold more
// memory than twice what has arrived; that what it decodes is complete, within
// the limits and without bytes left over; and that every wait ends with a
// deadline or a context.
//
// It leaves to others who may connect (see [PeerCred]), in which order messages
// make sense, and whether the package names in them are sound: text arrives as
// the package manager had it, except that it holds no NUL.
package wire
