// SPDX-License-Identifier: Apache-2.0

// Package header reads rpm headers, in which a package describes itself and its files with their
// digests.
//
// A header is a count of entries, a size of data (both big-endian, 32 bits), 16 bytes of index
// for each entry, and the data. The first entries form a region that the packager signed;
// entries that rpm adds later (signatures, installation time, file states) follow it and are not
// signed. A [Header] answers from the signed region only. [Header.Unsigned] returns the rest,
// and [Header.Signatures] reads the signatures there.
//
// [Parse] accepts what rpm accepts, with rpm's limits: sorted entries that do not overlap,
// aligned, inside the data. In addition, no entry of the region may point outside of it. It
// copies nothing, and its time is proportional to the number of entries; the time of an accessor
// is proportional to its own data. A hostile header cannot cause a panic, or work or allocations
// out of proportion to its size.
//
// The package does not verify signatures. It does not read package files, which consist of a
// lead, a signature header, a header and a payload. For headers of rpm 3, which have whole
// paths, it has no file list.
//
// Layout and limits are those of lib/header.c in rpm.
package header
