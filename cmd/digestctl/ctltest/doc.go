// SPDX-License-Identifier: Apache-2.0

// Package ctltest runs digestctl in tests, as a process of its own on a real bus, and gives it
// a daemon to talk to: bus.Server with answers from memory, so that tests can compare the
// output of digestctl byte for byte. That daemon decides nothing; the decisions of the real one
// are tested with the real one.
package ctltest
