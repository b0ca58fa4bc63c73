// SPDX-License-Identifier: Apache-2.0

// Package engine runs in the process that package verify starts, and compares the files on disk
// with the lists.
//
// [Serve] reads each file once, however many names or lists it has. Its memory is bounded by the
// number of files in lists (24 bytes each), not by the number of findings. It writes nothing but
// labels. It reports in an order by which an interrupted run can continue: lists by name, then
// directories from the top down.
//
// The caller supplies the digests, and the engine checks them against the lists in the
// directory. rpm's database supplies the role of each file in its package. The engine does not
// verify owners, modes and times: rpm does.
package engine
