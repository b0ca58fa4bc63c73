// SPDX-License-Identifier: Apache-2.0

// Package listdir keeps the list directory that the kernel reads, with its staging and
// quarantine directories beside it.
//
// The directory is changed only by the operations after which the kernel forgets what it
// cached: add by rename in, replace by exchange, remove by rename out, then unlink elsewhere.
//
// The package decides nothing and verifies no signature. It is not safe for concurrent use,
// except for a [Stager] and [Dir.SyncLists].
package listdir
