// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/kernel"
)

func testRoot(t *testing.T) (*kernel.Root, string) {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"usr/bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "usr/bin/tool"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"bin": "usr/bin", "etc/out": "/../../../etc/hostname", "etc/tool": "/usr/bin/tool"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := kernel.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

func TestLabelRoundTrip(t *testing.T) {
	root, dir := testRoot(t)
	f, err := root.Find("/bin/tool", false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := f.Label(); got != "" || err != nil {
		t.Fatalf("label of a new file = %q, %v", got, err)
	}
	if err := f.SetLabel("tlv-tool-0:1-1.x86_64"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Label(); got != "tlv-tool-0:1-1.x86_64" || err != nil {
		t.Fatalf("label = %q, %v", got, err)
	}
	if path, err := f.Path(); err != nil || path != filepath.Join(dir, "usr/bin/tool") {
		t.Errorf("path = %q, %v", path, err)
	}
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := io.ReadAll(r); string(data) != "x" || err != nil {
		t.Errorf("content = %q, %v", data, err)
	}
	for range 2 {
		if err := f.RemoveLabel(); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := f.Label(); got != "" {
		t.Errorf("label after removal = %q", got)
	}
	for _, bad := range []string{"", "a/b", "a\x00b"} {
		if err := f.SetLabel(bad); err == nil {
			t.Errorf("SetLabel(%q) was accepted", bad)
		}
	}
}

func TestFindStaysInside(t *testing.T) {
	root, _ := testRoot(t)
	// The link leads to /etc/hostname of the tree, which has none, and not to
	// the one of the machine.
	if _, err := root.Find("/etc/out", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("link out of the root: %v, want not exist", err)
	}
	if _, err := root.Find("/etc/tool", false); !errors.Is(err, kernel.ErrNotRegular) {
		t.Errorf("link itself: %v, want ErrNotRegular", err)
	}
	f, err := root.Find("/etc/tool", true)
	if err != nil {
		t.Fatalf("absolute link inside the root: %v", err)
	}
	f.Close()
	if _, err := root.Find("/usr", true); !errors.Is(err, kernel.ErrNotRegular) {
		t.Errorf("directory: %v, want ErrNotRegular", err)
	}
}
