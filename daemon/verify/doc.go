// SPDX-License-Identifier: Apache-2.0

// Package verify compares the files on disk with the lists, in a process of its own: package
// managers wait for the daemon, so it must not share its processors, memory and priority with
// work that takes minutes.
//
// [Run] starts that process, sends it a [Spec] and receives [Message]s. Package engine is the
// process itself. The caller decides what to do with findings.
package verify
