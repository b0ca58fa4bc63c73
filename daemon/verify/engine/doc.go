// SPDX-License-Identifier: Apache-2.0

// Package engine compares what is on disk with what is vouched for: it is the inside
// of the process that package verify starts.
//
// [Serve] promises that each file is read once however many names or lists it has,
// that memory is bounded by the number of files that are vouched for (24 bytes each)
// and not by what is found, that nothing but labels is ever written, and that what it
// reports is in an order by which an interrupted run can go on: lists by name, then
// directories from the top down.
//
// The caller supplies the vouched digests, which it checks against the lists in the directory;
// rpm's database supplies the role of a file in its package. Owners, modes and times are rpm's
// to verify.
package engine
