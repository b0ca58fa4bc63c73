// SPDX-License-Identifier: Apache-2.0

package listdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/listdir"
	"golang.org/x/sys/unix"
)

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// withUmask runs fn under a umask of its own, which belongs to the process: no
// test beside it may make files meanwhile.
func withUmask(mask int, fn func()) {
	old := unix.Umask(mask)
	defer unix.Umask(old)
	fn()
}

// The umask decides about no mode: the kernel looks lists up with the rights of
// the process that opens a file, and others read what is written for them.
func TestModesUnderAnyUmask(t *testing.T) {
	for _, mask := range []int{0o077, 0o027, 0o022, 0} {
		path := filepath.Join(t.TempDir(), "lists")
		file := path + ".export"
		withUmask(mask, func() {
			d, err := listdir.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			publish(t, d, "tlv-a-1-1.noarch", "x")
			if err := durable.WriteFile(file, []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
		})
		for path, want := range map[string]os.FileMode{
			path: 0o755, path + ".staging": 0o700, path + ".quarantine": 0o700,
			filepath.Join(path, "tlv-a-1-1.noarch"): 0o644, file: 0o644,
		} {
			if got := mode(t, path); got != want {
				t.Errorf("umask %03o: mode of %s is %04o, want %04o", mask, filepath.Base(path), got, want)
			}
		}
	}
}

// A directory that an earlier start made too narrow is mended.
func TestModeOfOldDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lists")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := listdir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := mode(t, path); got != 0o755 {
		t.Errorf("mode is %04o", got)
	}
}

// A list directory has one master, by whatever path the other comes.
func TestListDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lists")
	d, err := listdir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listdir.Open(path); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := os.Symlink(dir, dir+".link"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir + ".link") })
	if _, err := listdir.Open(filepath.Join(dir+".link", "lists")); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("opened twice, through a link: %v", err)
	}
	d.Close()
	if d, err = listdir.Open(path); err != nil {
		t.Fatalf("closed, and not to be opened: %v", err)
	}
	d.Close()
}
