// SPDX-License-Identifier: Apache-2.0

// Package wire implements protocol version 1 between the daemon and the hooks that package
// managers load, over a SOCK_STREAM Unix socket; docs/protocol.md has the byte tables. It serves
// both ends: [Conn] carries messages in either direction, [Client] is the hook's side with one
// method for each step of a transaction.
//
// No input can cause a panic, a read beyond a frame, or memory of more than twice the bytes that
// have arrived. A decoded message is complete, within the limits, and has no bytes left over.
// Every wait ends with a deadline or a context.
//
// The caller decides who may connect (see [PeerCred]), in which order messages make sense, and
// whether the package names in them are valid: texts are those of the package manager, except
// that they contain no NUL.
package wire
