// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// grove is a root with directories, files and links that lead everywhere.
func grove(t *testing.T) (*Root, string) {
	t.Helper()
	outside := t.TempDir()
	top := filepath.Join(outside, "root")
	path := func(name string) string { return filepath.Join(top, name) }
	err := errors.Join(os.MkdirAll(path("usr/bin"), 0o755), os.WriteFile(path("usr/bin/tool"), []byte("0123456789"), 0o755),
		os.WriteFile(filepath.Join(outside, "secret"), []byte("outside"), 0o600), os.Symlink("usr/bin", path("bin")),
		os.Symlink("/usr/bin/tool", path("tool")), os.Symlink("../../secret", path("out")), os.Symlink("../..", path("up")),
		unix.Mkfifo(path("fifo"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRoot(top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, top
}

// No link leads out of a root, however it is followed.
func TestNothingLeadsOut(t *testing.T) {
	r, top := grove(t)
	for _, path := range []string{"out", "/out", "up/secret", "../secret", "/../../secret"} {
		if f, err := r.Find(path, true); err == nil {
			at, _ := f.Path()
			t.Errorf("%s leads to %s", path, at)
			f.Close()
		}
	}
	if real, err := r.RealDir("up"); err != nil || real != "/" {
		t.Errorf("up leads to %s, %v", real, err)
	}
	if real, err := r.RealDir("/bin/../bin"); err != nil || real != "/usr/bin" {
		t.Errorf("bin is %s, %v", real, err)
	}
	if _, err := r.RealDir("usr/bin/tool"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file is a directory: %v", err)
	}
	for real, want := range map[string]string{top: "/", top + "/usr": "/usr", top + "x": "", filepath.Dir(top): ""} {
		if got, err := r.Inside(real); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q inside, %v", real, got, err)
		}
	}
	for path, want := range map[string]bool{"usr": true, "/usr/bin": true, "bin": false, "usr/bin/tool": false, "absent": false, "/": false} {
		if got := r.HasDir(path); got != want {
			t.Errorf("%s is a directory: %t", path, got)
		}
	}
	if r.Path() != top {
		t.Errorf("the root is %s", r.Path())
	}
	var st unix.Stat_t
	if dev, ino, err := r.ID(); err != nil || unix.Stat(top, &st) != nil || dev != st.Dev || ino != st.Ino {
		t.Errorf("its identity is %d, %d, %v", dev, ino, err)
	}
}

// A path that was written down with links resolved leads nowhere once one is on it.
func TestFindExact(t *testing.T) {
	r, _ := grove(t)
	f, err := r.FindExact("/usr/bin/tool")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if st, err := f.Restat(); err != nil || st.Ino != f.Stat.Ino || st.Size != 10 {
		t.Errorf("it is %+v, %v", st, err)
	}
	if kind, err := f.FileSystem(); err != nil || kind == 0 {
		t.Errorf("its file system is %#x, %v", kind, err)
	}
	for path, want := range map[string]error{"/bin/tool": unix.ELOOP, "up/usr/bin/tool": unix.ELOOP, "tool": ErrNotRegular, "absent": fs.ErrNotExist, "fifo": ErrNotRegular, "usr": ErrNotRegular} {
		if _, err := r.FindExact(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestDirectories(t *testing.T) {
	r, top := grove(t)
	d, err := r.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if path, err := d.Path(); err != nil || path != top {
		t.Errorf("it is %s, %v", path, err)
	}
	if kind, err := d.FileSystem(); err != nil || kind == 0 {
		t.Errorf("its file system is %#x, %v", kind, err)
	}
	var names []string
	if err := d.Each(func(name string, kind fs.FileMode) error {
		if (kind == fs.ModeDir) != (name == "usr") || (kind == fs.ModeNamedPipe) != (name == "fifo") {
			t.Errorf("%s is a %v", name, kind)
		}
		names = append(names, name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if want := []string{"bin", "fifo", "out", "tool", "up", "usr"}; !slices.Equal(names, want) {
		t.Errorf("it has %q, want %q", names, want)
	}
	usr, err := d.Child("usr")
	if err != nil {
		t.Fatal(err)
	}
	defer usr.Close()
	stop := errors.New("enough")
	if err := usr.Each(func(string, fs.FileMode) error { return stop }); err != stop {
		t.Errorf("it went on after %v", err)
	}
	for _, name := range []string{"bin", "up", "..", "usr/../..", "fifo", "absent"} {
		if c, err := d.Child(name); err == nil {
			t.Errorf("%s is a directory in it", name)
			c.Close()
		}
	}
	bin, err := usr.Child("bin")
	if err != nil {
		t.Fatal(err)
	}
	defer bin.Close()
	for name, look := range map[string]func(string) (*File, error){"found": bin.Find, "opened": bin.Open} {
		f, err := look("tool")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var content []byte
		if err := f.Content(make([]byte, 3), func(piece []byte) error { content = append(content, piece...); return nil }); err != nil || string(content) != "0123456789" {
			t.Errorf("%s, it has %q, %v", name, content, err)
		}
		if err := f.Content(make([]byte, 3), func([]byte) error { return stop }); err != stop {
			t.Errorf("%s: reading went on after %v", name, err)
		}
		f.Close()
		for _, other := range []string{"absent", "..", "../bin/tool"} {
			if f, err := look(other); err == nil {
				t.Errorf("%s: %s is a file in it", name, other)
				f.Close()
			}
		}
	}
	for _, name := range []string{"fifo", "tool", "out"} {
		if f, err := d.Find(name); err == nil {
			t.Errorf("%s is a regular file", name)
			f.Close()
		}
		if f, err := d.Open(name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s was opened: %v, %v", name, f, err)
		}
	}
}

func TestSizesInADirectory(t *testing.T) {
	r, _ := grove(t)
	d, err := r.Directory("/bin/")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Path != "/usr/bin" {
		t.Errorf("it is %s", d.Path)
	}
	if size, is := d.Size("tool"); size != 10 || !is {
		t.Errorf("tool has %d bytes, %t", size, is)
	}
	if _, is := d.Size("absent"); is {
		t.Error("absent is a file")
	}
	top, err := r.Directory("/")
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	if _, is := top.Size("tool"); is || top.Path != "" {
		t.Errorf("a link has a size in %q: %t", top.Path, is)
	}
	if _, err := r.Directory("fifo"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a pipe is a directory: %v", err)
	}
}
