// SPDX-License-Identifier: Apache-2.0

// Package mutants shows that the simulator sees. Each of its mutations puts one
// mistake into the code that decides or acts: a sync that is dropped, two effects in
// the wrong order, a version that is not remembered. The daemon's tests are built
// with it, and a history has to fail because the model objects: neither the compiler
// nor a panic counts.
//
//	go test ./integration/mutants                 # five of them
//	go test ./integration/mutants -mutants.all -timeout 0
//	go test ./integration/mutants -mutants.only no-mark -v
package mutants
