// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func FuzzDecodeJournal(f *testing.F) {
	j := journal{commit: 7, counter: 9, changes: []record.Record{{Bucket: 1, Key: []byte("k"), Value: []byte("v")}, {Bucket: 2, Key: []byte("gone"), Value: nil}}}
	f.Add(encoded(j))
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := decodeJournal(data)
		if err != nil {
			return
		}
		if diff := cmp.Diff(data, encoded(j)); diff != "" {
			t.Errorf("not the bytes it was read from:\n%s", diff)
		}
	})
}

func TestJournalRoundTrip(t *testing.T) {
	j := journal{commit: 7, counter: 9, changes: []record.Record{{Bucket: 1, Key: []byte("k"), Value: []byte{}}, {Bucket: 2, Key: []byte("gone"), Value: nil}}}
	got, err := decodeJournal(encoded(j))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(j, got, cmp.AllowUnexported(journal{}, record.Record{})); diff != "" {
		t.Error(diff)
	}
	data := encoded(j)
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 1
		if _, err := decodeJournal(bad); err == nil {
			t.Errorf("damage at byte %d went unnoticed", i)
		}
	}
}

// TestCommitFileGoesBack: where the directory cannot be synced, the former commit file is back
// in its place, also on a file system that cannot exchange two files.
func TestCommitFileGoesBack(t *testing.T) {
	failed := errors.New("the disk does not answer")
	rename := func(exchanges bool) func(int, string, int, string, uint) error {
		return func(olddir int, old string, newdir int, path string, flags uint) error {
			if flags != 0 && !exchanges {
				if _, err := os.Lstat(path); err != nil {
					return unix.ENOENT
				}
				return unix.EINVAL
			}
			return unix.Renameat2(olddir, old, newdir, path, flags)
		}
	}
	for _, exchanges := range []bool{true, false} {
		for _, former := range []string{"former", ""} {
			for _, fails := range []error{nil, failed} {
				dir := t.TempDir()
				tmp, path := filepath.Join(dir, "commit.new"), filepath.Join(dir, "commit")
				if err := os.WriteFile(tmp, []byte("new"), 0o600); err != nil {
					t.Fatal(err)
				}
				if former != "" {
					if err := os.WriteFile(path, []byte(former), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				err := placement{rename(exchanges), func(string) error { return fails }}.place(tmp, path)
				if !errors.Is(err, fails) {
					t.Errorf("%v, want %v", err, fails)
				}
				want := map[string]string{}
				switch {
				case fails == nil:
					want["commit"] = "new"
				case former != "":
					want["commit"] = former
				}
				got := map[string]string{}
				entries, err := os.ReadDir(dir)
				for _, e := range entries {
					data, rerr := os.ReadFile(filepath.Join(dir, e.Name()))
					err, got[e.Name()] = errors.Join(err, rerr), string(data)
				}
				if err != nil || !maps.Equal(got, want) {
					t.Errorf("exchanges %v, former %q, error %v: the directory has %q, %v", exchanges, former, fails, got, err)
				}
			}
		}
	}
}

func encoded(j journal) []byte {
	var b bytes.Buffer
	if err := j.write(&b); err != nil {
		panic(err)
	}
	if b.Len() != j.size() {
		panic("the size of a commit file is not what it says")
	}
	return b.Bytes()
}
