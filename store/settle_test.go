// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/record"
)

// commitOne records one more list and event.
func commitOne(ix *store.Index, name string) error {
	var b record.Batch
	b.PutList(record.List{Name: name, State: record.Active, Counter: ix.Counter() + 1})
	b.PutEvent(record.Event{Seq: ix.Counter() + 1, Kind: "published", List: name})
	return ix.Commit(&b)
}

// replaced opens an index with one commit, and has something done to its directory.
func replaced(t *testing.T, do func(dir string) error) (*store.Index, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	ix, _, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ix.Close() })
	if err := commitOne(ix, "a"); err != nil {
		t.Fatal(err)
	}
	if err := do(dir); err != nil {
		t.Fatal(err)
	}
	return ix, dir
}

// After any part of the state directory was removed, the next commit is on disk, with
// everything before it.
func TestStateMadeAnew(t *testing.T) {
	for name, do := range map[string]func(dir string) error{
		"directory": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) },
		"moved":     func(dir string) error { return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)) },
		"index":     func(dir string) error { return os.Remove(filepath.Join(dir, "index.db")) },
		"lock":      func(dir string) error { return os.Remove(filepath.Join(dir, "lock")) },
		"all files": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "index.db")), os.Remove(filepath.Join(dir, "index.commit")), os.Remove(filepath.Join(dir, "lock")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ix, dir := replaced(t, do)
			if err := commitOne(ix, "b"); err != nil {
				t.Fatal(err)
			}
			if !ix.Restored() {
				t.Error("it does not say that it was written anew")
			}
			if events, _, err := ix.Events(0, 10); err != nil || len(events) != 2 {
				t.Errorf("the log has %d entries (%v)", len(events), err)
			}
			if _, _, err := store.Open(dir); !errors.Is(err, durable.ErrLocked) {
				t.Errorf("the new directory is not locked: %v", err)
			}
			if err := ix.Close(); err != nil {
				t.Fatal(err)
			}
			again, rec, err := store.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if c, err := again.Load(); err != nil || rec.Fate != store.Intact || len(c.Lists) != 2 || again.Counter() != 2 || c.LogSize != 2 {
				t.Errorf("recovery %+v, %d lists, %d events, counter %d, %v", rec, len(c.Lists), c.LogSize, again.Counter(), err)
			}
		})
	}
}

// A directory that is away may come back; one that is another's is left alone.
// Nothing is committed meanwhile.
func TestStateAway(t *testing.T) {
	ix, dir := replaced(t, func(dir string) error { return os.Rename(dir, dir+".away") })
	if err := commitOne(ix, "b"); !errors.Is(err, store.ErrStateReplaced) {
		t.Errorf("committed to a directory that is away: %v", err)
	}
	other, _, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := commitOne(ix, "b"); !errors.Is(err, store.ErrStateReplaced) || !errors.Is(err, durable.ErrLocked) {
		t.Errorf("committed beside another: %v", err)
	}
	other.Close()
	if err := commitOne(ix, "b"); !errors.Is(err, store.ErrStateReplaced) {
		t.Errorf("committed over another's index: %v", err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)); err != nil {
		t.Fatal(err)
	}
	if err := commitOne(ix, "b"); err != nil || ix.Restored() {
		t.Errorf("it came back as it was: %v", err)
	}
	if c, err := ix.Load(); err != nil || len(c.Lists) != 2 {
		t.Errorf("%d lists, %v", len(c.Lists), err)
	}
}

// A directory into which others may write gets no index.
func TestStateOfOthers(t *testing.T) {
	ix, dir := replaced(t, func(dir string) error {
		return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777))
	})
	if err := commitOne(ix, "b"); !errors.Is(err, store.ErrStateReplaced) {
		t.Errorf("committed: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("it holds %v (%v)", entries, err)
	}
}
