// SPDX-License-Identifier: Apache-2.0

// Package story is what can happen to the machines of package sim: a [History] is a list of
// [Act], about packages that are made up. [Draw] makes one from a seed, and [Shrink] finds a
// short part of one that fails in the same way.
package story
