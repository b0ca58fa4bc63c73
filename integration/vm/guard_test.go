// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// The unit of digestd-guard lets it do what it has to, and keeps it from the rest.
func TestGuardUnit(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{script: "guard.sh", trees: []string{packages(t)}})
}

// A machine all of whose programs are listed is refused nothing else from its start on,
// through a power cut, a start of its user space alone and an end by an initramfs; on each kernel.
func TestGuardOfAMachine(t *testing.T) {
	t.Parallel()
	whole(t)
	for _, k := range []struct{ release, stock string }{{"trixie", ""}, {"bookworm", "bookworm"}, {"forky", "forky"}} {
		t.Run(k.release, func(t *testing.T) {
			m := newMachine(t)
			m.boot(boot{script: "guardenforce.sh", stock: k.stock, trees: []string{packages(t)}})
			m.boot(boot{script: "guardstart.sh", stock: k.stock, cutAt: "bulk030-1.0"})
			console, err := os.ReadFile(filepath.Join(m.dir, "console-2"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{`digestd-guard: refused exec of "/usr/local/bin/unlisted"`, "digestctl guard off", "digestd.guard=off"} {
				if !strings.Contains(string(console), want) {
					t.Errorf("the console does not say %s", want)
				}
			}
			m.boot(boot{script: "guarddoubt.sh", stock: k.stock})
		})
	}
}

// The packages that a machine cannot do without are upgraded while the guard enforces, and
// nothing is refused that a list holds, in whatever way it came and went; nothing at all once
// the guard's program is gone.
func TestGuardAndUpgrades(t *testing.T) {
	t.Parallel()
	whole(t)
	tree := packages(t)
	builds(t, tree)
	m := newMachine(t)
	m.boot(boot{script: "guardupgrade.sh", trees: []string{tree}})
	m.boot(boot{script: "guardways.sh"})
}

// builds adds two builds of digestd and of what the machine has of its own to a tree.
func builds(t *testing.T, tree string) {
	t.Helper()
	dir := t.TempDir()
	key, err := pkgtest.NewGPG(dir, "builder", "rsa3072")
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	for _, release := range []string{"2", "3"} {
		if err := command("./build.sh", filepath.Join(guest.dir, "root"), guest.programs, filepath.Join(tree, "test", "upgrades", release), key.Home, key.Owner, release); err != nil {
			t.Fatal(err)
		}
	}
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
