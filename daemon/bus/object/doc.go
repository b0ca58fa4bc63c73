// SPDX-License-Identifier: Apache-2.0

// Package object puts an object on D-Bus by the table of its interface.
//
// It promises that no call can crash, fill or hold up the program: arguments and replies are
// bounded, a handler that panics answers with an error, signals are queued and never waited
// for, file descriptors are not accepted, and when the bus goes away it comes back by itself.
// One place decides who may change something, by the credentials that the bus guarantees.
//
// The table names the object and has its properties, methods and signals.
package object
