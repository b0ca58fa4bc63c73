// SPDX-License-Identifier: Apache-2.0

// Package view is what the daemon lets others see of its state: an immutable [Snapshot]
// of lists, lines, keys, denials and problems, how names given by people are resolved in
// it, and how it is described to them. Queries read it without waiting for anybody.
package view
