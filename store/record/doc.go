// SPDX-License-Identifier: Apache-2.0

// Package record defines the contents of the index: records of lists, lines of versions, keys,
// denials, own lists and decisions, and the batches that change them. It names and encodes
// them; package store makes them durable.
package record
