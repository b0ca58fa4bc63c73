// SPDX-License-Identifier: Apache-2.0

// Package bus puts a [Backend] on D-Bus as org.digestd1; docs/dbus.md describes
// the interface.
//
// It promises that no call can crash, fill or hold up the daemon: arguments and
// replies are bounded, a handler that panics answers with an error, signals are
// queued and never waited for, file descriptors are not accepted, and when the
// bus goes away it comes back by itself. Who may change something is decided in
// one place, on the credentials that the bus vouches for.
//
// It leaves every answer to the backend, and the D-Bus form of answers to
// package api.
package bus
