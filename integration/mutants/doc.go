// SPDX-License-Identifier: Apache-2.0

// Package mutants shows that the simulator sees. Each of its mutations puts one
// mistake into the code that decides or acts: a sync that is dropped, two effects in
// the wrong order, a version that is not remembered. The daemon's tests are built once
// with all of them, each run has the one that the environment names, and a history has to
// fail because the model objects: neither the compiler nor a panic counts.
//
// A mutation replaces text that stands in a file exactly once, within one function. When code
// moves, TestMutationsFit names the mutations that do not fit any more: give them the file and
// the text that does the same now, so that the meaning beside them stays true. The model finds
// at once what a known history shows: a mutation that only random histories find is worth a
// history in daemon/testdata/histories.
//
//	go test ./integration/mutants                 # five of them
//	go test ./integration/mutants -mutants.all -timeout 0
//	go test ./integration/mutants -mutants.only no-mark -v
package mutants
