// SPDX-License-Identifier: Apache-2.0

// Package kernel is digestd's hand in the kernel: the extended attributes by
// which a file names its list.
//
// It resolves paths inside a root and never follows a link out of it, touches
// regular files only, and leaves every decision to its callers.
package kernel
