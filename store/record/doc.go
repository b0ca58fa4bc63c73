// SPDX-License-Identifier: Apache-2.0

// Package record holds what the index keeps: records of lists, lines of versions, keys,
// denials, own lists and decisions, and the batches that change them. It does nothing
// but name and encode them; package store makes them durable.
package record
