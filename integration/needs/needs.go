// SPDX-License-Identifier: Apache-2.0

// Package needs says what a test needs of the machine that runs it. If DIGESTD_TEST_ALL is set,
// as by make test, a test fails on a machine that lacks something; otherwise, as under make
// unit, it is skipped.
package needs

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

// BPF is for tests that load programs into the kernel at hand, which containers may not let root do.
func BPF(t testing.TB) {
	t.Helper()
	Root(t)
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(data), "\nCapEff:")
	line, _, _ = strings.Cut(line, "\n")
	has, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	const wanted = 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_SYS_ADMIN // the last to mount
	if has&wanted != wanted {
		lack(t, "needs CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN")
	}
}

func lack(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("DIGESTD_TEST_ALL") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}
