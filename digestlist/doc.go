// SPDX-License-Identifier: Apache-2.0

// Package digestlist reads and writes the digest lists of the Linux kernel's Integrity Digest
// Cache, as of version 6 of its patch series (2024): the tlv and the rpm format, their file
// names, and the signature appended to them.
//
// It writes what the kernel accepts, and accepts no more than the kernel does. It checks each
// length before it uses the length, and errors name offset and field. Callers store the bytes,
// and decide whether the content is true and who may sign.
package digestlist
