// SPDX-License-Identifier: Apache-2.0

// Package verify has what is on disk compared with what is vouched for, in a process
// of its own: a daemon that package managers wait for must not share its processors,
// its memory or its priority with work that takes minutes.
//
// [Run] starts that process, tells it by a [Spec] what to do, and hears [Message]s from it. The
// process itself is package engine. The caller decides what to do with findings.
package verify
