// SPDX-License-Identifier: Apache-2.0

// Package kernel is the interface of digestd to the kernel: the extended attributes by which a
// file names its list, the keyrings by which the kernel verifies lists, and the features of a
// kernel.
//
// It resolves paths inside a root and never follows a link out of it. It handles regular files
// only. It identifies a key by its number in the kernel, never by a name that the key's maker
// chose. It decides nothing. If keys are unreachable, as in containers, it reports that.
package kernel
