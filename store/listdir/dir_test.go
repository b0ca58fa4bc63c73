// SPDX-License-Identifier: Apache-2.0

package listdir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/store/listdir"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

func openDir(t *testing.T) (*listdir.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lists")
	d, err := listdir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, path
}

func publish(t *testing.T, d *listdir.Dir, name, content string) {
	t.Helper()
	s, err := d.Stager("t" + name + content).Write([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Publish(s, name, true); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestPublishReplaceRemove(t *testing.T) {
	d, path := openDir(t)
	publish(t, d, "tlv-a", "one")
	file := filepath.Join(path, "tlv-a")
	first := inodeOf(t, file)

	// A reader that has the old list open goes on with the old content: the
	// inode was exchanged, not written to.
	old, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	publish(t, d, "tlv-a", "two")
	if inodeOf(t, file) == first {
		t.Error("replaced in place: the kernel would not forget the old list")
	}
	buf := make([]byte, 8)
	if n, _ := old.Read(buf); string(buf[:n]) != "one" {
		t.Errorf("old list reads %q", buf[:n])
	}
	if data, err := d.Read("tlv-a", nil); err != nil || string(data) != "two" {
		t.Errorf("new list reads %q, %v", data, err)
	}
	if got := names(t, path+".staging"); got != "" {
		t.Errorf("left in staging: %s", got)
	}
	if err := d.Sync("tlv-a"); err != nil {
		t.Error(err)
	}
	for range 2 { // removing what is gone is no error
		if err := d.Remove("tlv-a"); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, path) + names(t, path+".staging"); got != "" {
		t.Errorf("left: %s", got)
	}
}

// TestOperations states the system calls themselves: what the kernel resets
// depends on them and on nothing else.
func TestStampTellsStatesApart(t *testing.T) {
	d, path := openDir(t)
	publish(t, d, "tlv-a", "one")
	before, err := d.Stat("tlv-a")
	if err != nil || !before.Regular || before.Links != 1 || before.Size != 3 {
		t.Fatalf("stamp = %+v, %v", before, err)
	}
	if err := os.Link(filepath.Join(path, "tlv-a"), filepath.Join(path, "tlv-b")); err != nil {
		t.Fatal(err)
	}
	if after, _ := d.Stat("tlv-a"); after == before {
		t.Error("a second name left the stamp as it was")
	}
	if _, err := d.Stat("tlv-none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent list: %v", err)
	}
}

func TestOn(t *testing.T) {
	d, path := openDir(t)
	var here, other unix.Stat_t
	if err := errors.Join(unix.Stat(path, &here), unix.Stat("/proc", &other)); err != nil {
		t.Fatal(err)
	}
	if !d.On(here.Dev) || d.On(other.Dev) || d.On(0) {
		t.Errorf("on %d: %v, on %d: %v, on none: %v", here.Dev, d.On(here.Dev), other.Dev, d.On(other.Dev), d.On(0))
	}
}

func TestSweepAndQuarantine(t *testing.T) {
	d, path := openDir(t)
	if _, err := d.Stager("left").Write([]byte("partial")); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Sweep(); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	for range 2 {
		publish(t, d, "tlv-evil", "x")
		if _, err := d.Quarantine("tlv-evil", "now"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(path, "a-directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(path, "a-link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a-directory", "a-link"} {
		if _, err := d.Read(name, nil); err == nil {
			t.Errorf("read through %s", name)
		}
		if _, err := d.Quarantine(name, "now"); err != nil {
			t.Error(err)
		}
	}
	if got, want := names(t, path+".quarantine"), "now-a-directory now-a-link now-tlv-evil now-tlv-evil.1"; got != want {
		t.Errorf("quarantine = %s, want %s", got, want)
	}
	if got := names(t, path); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestRemoveMany(t *testing.T) {
	d, path := openDir(t)
	for _, name := range []string{"tlv-a", "tlv-b", "tlv-kept"} {
		publish(t, d, name, "content of "+name)
	}
	out := 0
	contents, errs := d.RemoveMany([]string{"tlv-a", "tlv-absent", "tlv-b"}, func() { out++ })
	if errs != nil || out != 3 {
		t.Fatalf("%v after %d", errs, out)
	}
	if len(contents) != 3 || string(contents[0]) != "content of tlv-a" || contents[1] != nil || string(contents[2]) != "content of tlv-b" {
		t.Errorf("contents %q", contents)
	}
	if got := names(t, path); got != "tlv-kept" {
		t.Errorf("left are %q", got)
	}
	if got := names(t, path+".staging"); got != "" {
		t.Errorf("staging holds %q", got)
	}
	publish(t, d, "tlv-a", "content of tlv-a")
	contents, errs = d.RemoveMany([]string{"tlv-a", "../tlv-kept", "tlv-kept"}, func() {})
	if len(errs) != 3 || errs[0] != nil || errs[1] == nil || errs[2] != nil || string(contents[0]) != "content of tlv-a" || string(contents[2]) != "content of tlv-kept" {
		t.Errorf("a name that leads elsewhere: %v, %q", errs, contents)
	}
	if got := names(t, path); got != "" {
		t.Errorf("left are %q", got)
	}
}

func TestHostileNames(t *testing.T) {
	d, _ := openDir(t)
	for _, name := range []string{"", ".", "..", "a/b", "../x", "a\x00b", strings.Repeat("n", 256)} {
		s, err := d.Stager("h").Write([]byte("x"))
		if err == nil {
			err = d.Publish(s, name, true)
		}
		if err == nil {
			t.Errorf("published under %q", name)
		}
		d.Discard(s)
		if err := d.Remove(name); err == nil {
			t.Errorf("removed %q", name)
		}
		if _, err := d.Quarantine(name, "s"); err == nil {
			t.Errorf("quarantined %q", name)
		}
	}
	if _, err := d.Stager("empty").Write(nil); err == nil {
		t.Error("an empty list was staged")
	}
}

func TestReplacedDirectoryIsNoticed(t *testing.T) {
	d, path := openDir(t)
	if err := d.CheckPath(); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	if err := d.CheckPath(); !errors.Is(err, listdir.ErrReplaced) {
		t.Errorf("replaced by a link: %v, want ErrReplaced", err)
	}
	publish(t, d, "tlv-a", "x")
	if got := names(t, elsewhere); got != "" {
		t.Errorf("wrote through the link: %s", got)
	}
	if _, err := listdir.Open(path); err == nil {
		t.Error("a link was opened as list directory")
	}
}

func TestOthersMayNotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lists")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := listdir.Open(path); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("world-writable directory: %v", err)
	}
}

// TestStagingRemoved: a list that cannot be moved out is not called gone, and the
// staging directory comes back by itself.
func TestStagingRemoved(t *testing.T) {
	for name, remove := range map[string]func(d *listdir.Dir) error{
		"Remove": func(d *listdir.Dir) error { return d.Remove("tlv-a") },
		"RemoveMany": func(d *listdir.Dir) error {
			_, errs := d.RemoveMany([]string{"tlv-a"}, func() {})
			return errors.Join(errs...)
		},
		"TakeOut": func(d *listdir.Dir) error { _, err := d.TakeOut("tlv-a"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			d, path := openDir(t)
			publish(t, d, "tlv-a", "a")
			if err := os.RemoveAll(path + ".staging"); err != nil {
				t.Fatal(err)
			}
			if err := remove(d); err != nil {
				t.Errorf("not removed: %v", err)
			}
			if got := names(t, path); got != "" {
				t.Errorf("said to be removed, and there: %s", got)
			}
			if err := os.RemoveAll(path + ".staging"); err != nil {
				t.Fatal(err)
			}
			publish(t, d, "tlv-b", "b")
			// A fault that cannot be corrected is an error.
			if err := errors.Join(os.RemoveAll(path+".staging"), os.Symlink("/", path+".staging")); err != nil {
				t.Fatal(err)
			}
			if err := d.Remove("tlv-b"); err == nil {
				t.Error("removed through a staging directory that is a link")
			}
			if got := names(t, path); got != "tlv-b" {
				t.Errorf("left are %q", got)
			}
		})
	}
}

// TestKept: what is published over another list, or taken out, can come back.
func TestKept(t *testing.T) {
	d, path := openDir(t)
	publish(t, d, "tlv-a", "one")
	next, err := d.Stager("next").Write([]byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := d.PublishKeeping(next, "tlv-a")
	if err != nil || old == (record.Staged{}) {
		t.Fatalf("kept %v, %v", old, err)
	}
	if err := d.Publish(old, "tlv-a", true); err != nil {
		t.Fatal(err)
	}
	if data, err := d.Read("tlv-a", nil); err != nil || string(data) != "one" {
		t.Errorf("came back as %q, %v", data, err)
	}
	out, err := d.TakeOut("tlv-a")
	if got := names(t, path); err != nil || got != "" {
		t.Errorf("left are %q, %v", got, err)
	}
	if err := d.Publish(out, "tlv-a", true); err != nil {
		t.Fatal(err)
	}
	if got := names(t, path) + " " + names(t, path+".staging"); got != "tlv-a " {
		t.Errorf("left are %q", got)
	}
	if none, err := d.TakeOut("tlv-none"); err != nil || none != (record.Staged{}) {
		t.Errorf("took %v out, %v", none, err)
	}
	first, _ := d.Stager("first").Write([]byte("x"))
	if none, err := d.PublishKeeping(first, "tlv-new"); err != nil || none != (record.Staged{}) {
		t.Errorf("kept %v, %v", none, err)
	}
}
