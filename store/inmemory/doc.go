// SPDX-License-Identifier: Apache-2.0

// Package inmemory has an index and a list directory in memory, which do what those of
// package store do, a hundred times as fast: for tests that try very many histories.
// Its own test holds both against package store, operation by operation.
//
// Nothing here fails or is lost by itself: a test that needs failures wraps it.
package inmemory
