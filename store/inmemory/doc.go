// SPDX-License-Identifier: Apache-2.0

// Package inmemory has an index and a list directory in memory. They behave like those of
// packages store and listdir and are a hundred times as fast, for tests that try very many
// histories. A test compares both with the real ones, operation by operation.
//
// Nothing here fails or is lost by itself: a test that needs failures wraps it.
package inmemory
