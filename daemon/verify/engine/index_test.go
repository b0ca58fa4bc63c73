// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/daemon/verify"
	"github.com/digestd/digestd/kernel"
)

// A file is found at its real place, as the kernel resolves the directory, regardless of its
// path in a list.
func TestRealPath(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"usr/lib/deep/er", "opt", "etc"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"lib": "usr/lib", "opt/abs": "/usr/lib", "opt/up": "../..", "opt/out": "../../../../../../etc", "usr/lib/loop": "loop", "usr/lib/self": ".",
	} {
		if err := os.Symlink(target, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := kernel.OpenRoot(top)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	x := newIndex(&verify.Spec{}, root)
	for path, want := range map[string]string{
		"/f":                     "/f",
		"f":                      "/f",
		"/usr/lib/deep/er/f":     "/usr/lib/deep/er/f",
		"/lib/deep/er/f":         "/usr/lib/deep/er/f",
		"/opt/abs/deep/f":        "/usr/lib/deep/f",
		"/opt/up/usr/f":          "/usr/f",
		"/opt/out/f":             "/etc/f",
		"/opt/../usr/lib/f":      "/usr/lib/f",
		"/opt/abs/../f":          "/usr/f",
		"/usr//lib///deep/f":     "/usr/lib/deep/f",
		"/usr/./lib/f":           "/usr/lib/f",
		"usr/lib/f":              "/usr/lib/f",
		"/usr/lib/self/self/f":   "/usr/lib/f",
		"/usr/lib/loop/f":        "/usr/lib/loop/f",
		"/usr/lib/absent/deep/f": "/usr/lib/absent/deep/f",
		"/../../f":               "/f",
	} {
		for range 2 { // by itself, and as it is remembered
			if got := x.realPath(path); got != want {
				t.Errorf("%s lies at %s, want %s", path, got, want)
			}
		}
		if got := x.realPathOnce(path); got != want {
			t.Errorf("%s lies at %s without memory, want %s", path, got, want)
		}
	}
}
