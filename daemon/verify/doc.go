// SPDX-License-Identifier: Apache-2.0

// Package verify compares what is on disk with what is vouched for. It does so
// in a process of its own: a daemon that package managers wait for must not
// share its processors, its memory or its priority with work that takes minutes.
//
// [Run] starts that process and hears from it; [Serve] is that process. It
// promises that each file is read once however many names or lists it has, that
// memory is bounded by the number of files that are vouched for (24 bytes each)
// and not by what is found, that nothing but labels is ever written, and that
// what it reports is in an order by which an interrupted run can go on: lists by
// name, then directories from the top down.
//
// What is vouched for comes from the caller and is checked against the lists in
// the directory; what role a file has in its package comes from rpm's database.
// Owners, modes and times are rpm's to verify. What becomes of findings is the
// caller's business.
package verify
