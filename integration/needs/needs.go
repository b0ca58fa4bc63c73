// SPDX-License-Identifier: Apache-2.0

// Package needs says what a test needs of the machine that runs it. Where
// DIGESTD_TEST_ALL is set, as make test does, a machine that lacks it fails the
// test; elsewhere, as under make unit, the test is skipped.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Root is for tests that label files, act as other users or start services.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lack(t, "needs root")
	}
}

// Programs is for tests that run them.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			lack(t, "needs "+name)
		}
	}
}

func lack(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("DIGESTD_TEST_ALL") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
