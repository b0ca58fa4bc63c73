// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// appFS names the file system on which the kernel asks executables for
// signatures.
const appFS = "a1b2c3d4-0001-4002-8003-0123456789ab"

// A kernel as it is shipped refuses what digestd does not vouch for: with
// ima-signatures, IMA finds the machine's signature on what an active package has,
// and on nothing else. Its policy is for one file system; everything else goes on.
func TestKernelRunsWhatIsVouchedFor(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.boot(boot{
		script: "sealed.sh", trees: []string{packages(t), applications(t)},
		files:  map[string]string{"/etc/digestd/digestd.conf": "ima-signatures = true\n"},
		kernel: "ima_appraise=enforce ima_hash=sha256 integrity_audit=1",
	})
}

// applications makes a tree with an empty file system and packages that install
// programs into /opt, where it will be mounted. The scriptlet of app runs one of
// them.
func applications(t *testing.T) string {
	t.Helper()
	key, err := vendor()
	if err != nil {
		t.Fatal(err)
	}
	tree := t.TempDir()
	dir := filepath.Join(tree, "test", "packages")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(tree, "test", "app.img")
	if err := os.WriteFile(image, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 8<<20); err != nil {
		t.Fatal(err)
	}
	if err := command("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-I", "256", "-U", appFS, image); err != nil {
		t.Fatal(err)
	}
	for _, p := range []pkgtest.Package{
		{Name: "app", Version: "1.0"}, {Name: "app", Version: "2.0"}, {Name: "tool", Version: "1.0"},
	} {
		program := "/opt/" + p.Name + "/run"
		p.Release, p.Arch, p.Key = "1", "noarch", key
		p.Files = map[string]string{"/opt/" + p.Name + "/": "", program: "#!/bin/sh\necho " + p.Name + " " + p.Version + "\n"}
		p.Post = program + " >/var/tmp/" + p.Name + "-post 2>&1"
		if _, err := p.Build(dir); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}
