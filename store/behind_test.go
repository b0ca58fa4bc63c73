// SPDX-License-Identifier: Apache-2.0

package store

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/store/record"
)

// TestCommitsWithoutDatabase: what is in the commit file is durable, so commits
// succeed while the database takes nothing, and none of them is lost: neither when
// it takes them again nor when the process ends before.
func TestCommitsWithoutDatabase(t *testing.T) {
	for _, restart := range []bool{false, true} {
		dir := t.TempDir()
		ix, _, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		commit := func(fill func(b *record.Batch)) {
			t.Helper()
			var b record.Batch
			fill(&b)
			if err := ix.Commit(&b); err != nil {
				t.Fatal(err)
			}
		}
		commit(func(b *record.Batch) {
			b.PutKey(record.Key{Fingerprint: "before"})
			b.PutKey(record.Key{Fingerprint: "dropped"})
		})
		if err := ix.Behind(); err != nil {
			t.Fatal(err)
		}
		ix.db.Close()
		commit(func(b *record.Batch) {
			b.PutKey(record.Key{Fingerprint: "first"})
			b.PutLine(record.Line{Name: "bash", Arch: "noarch", Counter: 7})
		})
		commit(func(b *record.Batch) {
			b.PutKey(record.Key{Fingerprint: "second"})
			b.Set(record.BucketKeys, []byte("dropped"), nil)
		})
		if ix.Behind() == nil || !strings.Contains(ix.Behind().Error(), "cannot enter the latest commit") {
			t.Errorf("the database is closed: behind by %v", ix.Behind())
		}
		if ix.Counter() != 7 {
			t.Errorf("counter %d would be given out again", ix.Counter())
		}
		if restart {
			ix.lock.Close()
			var rec Recovery
			if ix, rec, err = Open(dir); err != nil || rec.Fate != Repaired {
				t.Fatalf("opened again: %+v, %v", rec, err)
			}
		} else {
			if ix.db, err = openBolt(filepath.Join(dir, indexFile)); err != nil {
				t.Fatal(err)
			}
			commit(func(*record.Batch) {})
		}
		if err := ix.Behind(); err != nil {
			t.Errorf("behind: %v", err)
		}
		commit(func(b *record.Batch) { b.PutKey(record.Key{Fingerprint: "after"}) })
		c, err := ix.Load()
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for _, k := range c.Keys {
			keys[k.Fingerprint] = true
		}
		if got, want := slices.Sorted(maps.Keys(keys)), []string{"after", "before", "first", "second"}; !slices.Equal(got, want) {
			t.Errorf("restart %v: keys are %v, want %v", restart, got, want)
		}
		if ix.Counter() != 7 || len(c.Lines) != 1 {
			t.Errorf("counter is %d, lines are %v", ix.Counter(), c.Lines)
		}
		ix.Close()
	}
}

// TestFailedCommitLeavesNoTrace: what Commit answered with an error is not found by
// the next Open.
func TestFailedCommitLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	ix, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b record.Batch
	b.PutKey(record.Key{Fingerprint: "before"})
	if err := ix.Commit(&b); err != nil {
		t.Fatal(err)
	}
	// Nothing can be written in the place of the commit file's successor.
	if err := os.Mkdir(filepath.Join(dir, journalFile+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	var failed record.Batch
	failed.PutKey(record.Key{Fingerprint: "failed"})
	if err := ix.Commit(&failed); err == nil {
		t.Fatal("committed without a commit file")
	}
	if err := os.Remove(filepath.Join(dir, journalFile+".new")); err != nil {
		t.Fatal(err)
	}
	ix.Close()
	ix, rec, err := Open(dir)
	if err != nil || rec.Fate != Intact {
		t.Fatalf("opened again: %+v, %v", rec, err)
	}
	defer ix.Close()
	if c, err := ix.Load(); err != nil || len(c.Keys) != 1 || c.Keys[0].Fingerprint != "before" {
		t.Errorf("keys are %v, %v", c.Keys, err)
	}
}
