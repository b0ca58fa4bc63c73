// SPDX-License-Identifier: Apache-2.0

// Package kernel is digestd's hand in the kernel: the extended attributes by
// which a file names its list, the keyrings that have a say in what a list is
// worth, and what of all that a kernel can do.
//
// It resolves paths inside a root and never follows a link out of it, touches
// regular files only, believes of a key what the kernel says of its number and
// nothing that its maker chose, and leaves every decision to its callers. Where
// keys are out of reach, as in containers, it says that and nothing else.
package kernel
