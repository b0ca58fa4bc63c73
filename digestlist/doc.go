// SPDX-License-Identifier: Apache-2.0

// Package digestlist reads and writes the digest lists of the Linux kernel's
// Integrity Digest Cache, as of version 6 of its patch series (2024): the tlv
// and the rpm format, their file names, and the signature appended to them.
//
// It promises to write what the kernel accepts and to accept no more than the
// kernel does: bytes in, bytes out, each length checked before it is believed,
// and errors that name offset and field. It leaves to others where the bytes
// are kept, whether what is in a list is true, and who may sign.
package digestlist
