// SPDX-License-Identifier: Apache-2.0

// Package ctltest runs digestctl in tests, as a process of its own on a real bus, and
// gives it a daemon to talk to: bus.Server with answers from memory, so that what
// digestctl prints can be compared byte for byte. That daemon decides nothing; what the
// real one decides is tested with the real one.
package ctltest
