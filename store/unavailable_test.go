// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// remembering makes an index with something in it and returns its directory.
func remembering(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ix, _, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	var b record.Batch
	b.PutList(record.List{Name: "tlv-a-1-1.noarch", State: record.Active, Counter: 7})
	if err := ix.Commit(&b); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mustRemember wants the index intact, and nothing set aside.
func mustRemember(t *testing.T, dir string) {
	t.Helper()
	ix, rec, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	if c, err := ix.Load(); err != nil || rec.Fate != store.Intact || len(c.Lists) != 1 || ix.Counter() != 7 {
		t.Errorf("recovery %+v, %d lists, counter %d, %v", rec, len(c.Lists), ix.Counter(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "aside") {
			t.Errorf("a sound index was set aside: %s", e.Name())
		}
	}
}

// Another program that has a lock on the index does not damage it.
func TestLockedIndexIsNotDamaged(t *testing.T) {
	for name, how := range map[string]int{"shared": unix.LOCK_SH, "exclusive": unix.LOCK_EX} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := remembering(t)
			f, err := os.Open(filepath.Join(dir, "index.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := unix.Flock(int(f.Fd()), how); err != nil {
				t.Fatal(err)
			}
			if _, _, err := store.Open(dir); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("opened under a lock: %v", err)
			}
			released := make(chan error, 1)
			time.AfterFunc(300*time.Millisecond, func() { released <- unix.Flock(int(f.Fd()), unix.LOCK_UN) })
			mustRemember(t, dir) // waits for the lock
			if err := <-released; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// However few descriptors are left, the index is opened or left alone.
func TestIndexWithoutDescriptors(t *testing.T) {
	dir := remembering(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer set(old.Cur)
	failed := 0
	for free := uint64(0); ; free++ {
		next, err := unix.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(next)
		set(uint64(next) + free)
		ix, _, err := store.Open(dir)
		set(old.Cur)
		if err == nil {
			ix.Close()
			break
		}
		if failed++; !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, unix.EMFILE) || failed > 32 {
			t.Fatalf("with %d free descriptors: %v", free, err)
		}
	}
	if failed < 2 {
		t.Errorf("only %d attempts were short of descriptors", failed)
	}
	mustRemember(t, dir)
}

// A damaged index that was set aside, with nothing else left, is still known to
// have been there.
func TestAsideIsRemembered(t *testing.T) {
	dir := remembering(t)
	index := filepath.Join(dir, "index.db")
	if err := os.Rename(index, index+".aside-1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "index.commit")); err != nil {
		t.Fatal(err)
	}
	ix, rec, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	if rec.Fate != store.Missing {
		t.Errorf("recovery is %+v", rec)
	}
}

// A symbolic link that leads nowhere, and a file, are no state directory.
func TestNoStateDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for name, make := range map[string]func() error{
		"link": func() error { return os.Symlink("/nowhere/at/all", dir) },
		"file": func() error { return os.WriteFile(dir, nil, 0o600) },
	} {
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Open(dir); err == nil || !strings.Contains(err.Error(), "cannot create the state directory") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}
