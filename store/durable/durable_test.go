// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if data, err := os.ReadFile(path); err != nil || string(data) != want {
		t.Errorf("%s has %q (%v), want %q", filepath.Base(path), data, err, want)
	}
}

func wantAlone(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Fatalf("%v are in the directory (%v), want %v", entries, err, want)
	}
	for i, e := range entries {
		if e.Name() != want[i] {
			t.Errorf("%s is in the directory, want %s", e.Name(), want[i])
		}
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	defer unix.Umask(unix.Umask(0o077))
	for _, content := range []string{"first", "second, which is longer", ""} {
		if err := durable.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		wantContent(t, path, content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode is %v (%v)", info.Mode(), err)
	}
	wantAlone(t, dir, "file")
}

// TestWriteFileFails: what was there stays, and nothing is left beside it.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.Mkdir(path, 0o755); err != nil { // a file cannot take its place
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o644); err == nil {
		t.Error("a directory was replaced")
	}
	wantAlone(t, dir, "file")
}

// TestCreateFollowsNoLink: a link in the place of the file does not redirect the content.
func TestCreateFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "a-target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	write := func(to io.Writer) error {
		_, err := io.WriteString(to, "x")
		return err
	}
	if err := durable.Create(link, 0o600, write); err == nil {
		t.Error("a link was followed")
	}
	wantContent(t, target, "kept")
}

func TestCreateLeavesNoPart(t *testing.T) {
	dir := t.TempDir()
	failure := errors.New("the source ends")
	err := durable.Create(filepath.Join(dir, "file"), 0o600, func(to io.Writer) error {
		_, err := io.WriteString(to, "a part")
		return errors.Join(err, failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("the error is %v", err)
	}
	wantAlone(t, dir)
}

func TestIdentify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := durable.Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	if there, err := durable.IdentifyPath(path); err != nil || there != id {
		t.Errorf("the path leads to %v (%v), the file is %v", there, err, id)
	}
	if err := durable.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if there, err := durable.IdentifyPath(path); err != nil || there == id {
		t.Errorf("another file has the same identity (%v)", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.IdentifyPath(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is there: %v", err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	open := func() *os.File {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := durable.Lock(first); err != nil {
		t.Fatal(err)
	}
	if err := durable.Lock(second); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	first.Close()
	if err := durable.Lock(second); err != nil {
		t.Errorf("the first was closed: %v", err)
	}
}
