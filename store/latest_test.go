// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/digestd/digestd/store/record"
)

// TestLatestCommit: what the commit file says is what the index is at, while it is open
// and after it, and damage is noticed.
func TestLatestCommit(t *testing.T) {
	dir := t.TempDir()
	if _, err := LatestCommit(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is none: %v", err)
	}
	ix, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b := new(record.Batch)
		b.PutList(record.List{Name: "a"})
		if err := ix.Commit(b); err != nil {
			t.Fatal(err)
		}
		if got, err := LatestCommit(dir); err != nil || got != ix.Commits() {
			t.Errorf("commit %d, %v; want %d", got, err, ix.Commits())
		}
	}
	want := ix.Commits()
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := LatestCommit(dir); err != nil || got != want {
		t.Errorf("closed: commit %d, %v; want %d", got, err, want)
	}
	path := filepath.Join(dir, journalFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, len(journalMagic) + 7, len(data) - 1} {
		bad := slices.Clone(data)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := LatestCommit(dir); err == nil {
			t.Errorf("damage at byte %d went unnoticed: commit %d", i, got)
		}
	}
	if err := os.WriteFile(path, data[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LatestCommit(dir); err == nil {
		t.Error("a part of it was read")
	}
}
