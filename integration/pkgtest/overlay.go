// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Overlay lays an empty file system in memory over a root, with a /proc, and returns
// where: a process that enters it sees all files of the root; what it writes is removed
// with the test.
func Overlay(tb testing.TB, lower string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "digestd-root-")
	if err != nil {
		tb.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	tb.Cleanup(func() {
		for _, at := range []string{filepath.Join(root, "proc"), root, dir} {
			_ = exec.Command("umount", "-l", at).Run()
		}
		_ = os.Remove(dir)
	})
	mount := func(args ...string) {
		tb.Helper()
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			tb.Fatalf("mount %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	mount("-t", "tmpfs", "digestd-test", dir)
	for _, sub := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	mount("-t", "overlay", "digestd-test", "-o",
		"lowerdir="+lower+",upperdir="+filepath.Join(dir, "upper")+",workdir="+filepath.Join(dir, "work"), root)
	mount("-t", "proc", "proc", filepath.Join(root, "proc"))
	return root
}
