// SPDX-License-Identifier: Apache-2.0

// Package gendb writes rpm databases of any size, to measure on: what a
// distribution installs in an hour takes seconds here.
//
// It promises headers that rpm reads and trusts like those it installed itself,
// with the entries, sizes and proportions of a distribution's, each signed by a
// real key; and that the same shape gives the same headers. The files of the
// packages are written only if the shape says so. rpm makes the tables, and the
// indexes too.
package gendb
