// SPDX-License-Identifier: Apache-2.0

// Package header reads rpm headers: the form in which a package says what it
// is and which files, with which digests, it brings.
//
// A header is a count of entries, a size of data (both big-endian, 32 bits),
// 16 bytes of index an entry, and the data. The first entries form a region
// that the packager signed; what rpm added later (signatures, installation
// time, file states) follows it and is signed by nobody. A [Header] answers
// from the signed region only. [Header.Unsigned] is the one way to the rest,
// and [Header.Signatures] takes the signatures from there, where they belong.
//
// [Parse] accepts what rpm accepts, with rpm's limits: sorted entries that do
// not overlap, aligned, inside the data. On top of that no entry of the region
// may point outside of it. It copies nothing and takes time in proportion to
// the number of entries; an accessor takes time in proportion to its own data.
// A header of a hostile origin cannot make it panic, or work or allocate out
// of proportion to its size.
//
// It does not verify signatures. So are package files: a lead, a signature header and a payload
// are not headers. Headers of rpm 3, which spell every path out in full, have no file list
// here.
//
// Layout and limits are those of lib/header.c in rpm.
package header
