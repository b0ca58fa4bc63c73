// SPDX-License-Identifier: Apache-2.0

// Package kernel is the interface of digestd to the kernel: the extended attributes by which a
// file names its list, the keyrings by which the kernel verifies lists, and the features that a
// kernel has.
//
// It resolves paths inside a root and never follows a link out of it, touches regular files
// only, identifies a key by its number in the kernel and never by names that its maker chose,
// and leaves every decision to its callers. If keys are out of reach, as in containers, it says
// only that.
package kernel
