// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
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
	needs.Root(t)
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

// To look after files is not to read them, as far as others can tell.
func TestAccessTimeStays(t *testing.T) {
	root, dir := testRoot(t)
	tool := filepath.Join(dir, "usr/bin/tool")
	long := time.Now().Add(-48 * time.Hour).Truncate(time.Second) // so long ago that relatime would set it
	if err := os.Chtimes(tool, long, long); err != nil {
		t.Fatal(err)
	}
	bin, err := root.OpenDir("/usr/bin")
	if err != nil {
		t.Fatal(err)
	}
	defer bin.Close()
	found, err := root.Find("/usr/bin/tool", false)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	opened, err := bin.Open("tool")
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	for _, f := range []*kernel.File{found, opened} {
		if err := f.Content(make([]byte, 16), func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	var st unix.Stat_t
	if err := unix.Stat(tool, &st); err != nil || st.Atim.Sec != long.Unix() {
		t.Errorf("accessed at %v, want %v: %v", time.Unix(st.Atim.Sec, 0), long, err)
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

// Open reads what is a regular file of the directory, and nothing else, without
// ever waiting.
func TestDirOpen(t *testing.T) {
	needs.Root(t)
	root, dir := testRoot(t)
	if err := unix.Mkfifo(filepath.Join(dir, "usr/bin/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("tool", filepath.Join(dir, "usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	bin, err := root.OpenDir("/bin")
	if err != nil {
		t.Fatal(err)
	}
	defer bin.Close()
	for name, want := range map[string]error{
		"tool": nil, "absent": fs.ErrNotExist, "fifo": kernel.ErrNotRegular, "link": kernel.ErrNotRegular, "..": kernel.ErrNotRegular,
		".": kernel.ErrNotRegular, "": fs.ErrNotExist, "../bin/tool": kernel.ErrNotRegular,
	} {
		f, err := bin.Open(name)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		if err != nil {
			continue
		}
		if err := f.SetLabel("tlv-x"); err != nil {
			t.Error(err)
		}
		if got, err := f.Label(); got != "tlv-x" || err != nil {
			t.Errorf("label %q, %v", got, err)
		}
		for range 2 { // it starts over
			var content []byte
			err = f.Content(make([]byte, 16), func(piece []byte) error { content = append(content, piece...); return nil })
			if string(content) != "x" || err != nil {
				t.Errorf("content %q, %v", content, err)
			}
		}
		f.Close()
	}
}
