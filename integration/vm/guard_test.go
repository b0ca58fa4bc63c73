// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The unit of digestd-guard lets it do what it has to, and keeps it from the rest.
func TestGuardUnit(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{script: "guard.sh", trees: []string{packages(t)}})
}

// A machine all of whose programs are listed is refused nothing else from its start on,
// through a power cut, a start of its user space alone and an end by an initramfs.
func TestGuardOfAMachine(t *testing.T) {
	t.Parallel()
	whole(t)
	m := newMachine(t)
	m.boot(boot{script: "guardenforce.sh", trees: []string{packages(t)}})
	m.boot(boot{script: "guardstart.sh", cutAt: "bulk030-1.0"})
	console, err := os.ReadFile(filepath.Join(m.dir, "console-2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`digestd-guard: refused exec of "/usr/local/bin/unlisted"`, "digestctl guard off", "digestd.guard=off"} {
		if !strings.Contains(string(console), want) {
			t.Errorf("the console does not say %s", want)
		}
	}
	m.boot(boot{script: "guarddoubt.sh"})
}

// Podman runs what its images have; nobody else is exempt. Nothing is refused once digestd
// is removed.
func TestGuardAndContainers(t *testing.T) {
	t.Parallel()
	whole(t)
	if err := command("./podman.sh"); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	m.boot(boot{script: "guardpodman.sh", trees: []string{filepath.Join(filepath.Dir(guest.dir), "podman", "tree")}})
}

// whole leaves a test to make test-vm: make test boots each kind of machine once.
func whole(t *testing.T) {
	t.Helper()
	if os.Getenv("DIGESTD_TEST_VM") != "whole" {
		t.Skip("make test-vm runs it")
	}
}
