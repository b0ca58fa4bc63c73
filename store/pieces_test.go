// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/digestd/digestd/store/record"
	"go.etcd.io/bbolt"
)

// TestKilledBetweenPieces: a commit of several pieces is whole after a process ended
// when some of them were in the database, and is not counted before.
func TestKilledBetweenPieces(t *testing.T) {
	const records = 11
	var b record.Batch
	for i := range records {
		b.SetMeta(fmt.Sprintf("piece %02d", i), bytes.Repeat([]byte{byte(i)}, 1<<20))
	}
	b.SetMeta("before", nil)
	if size := (journal{changes: sortedOf(t, &b)}).size(); size < 2*pieceSize {
		t.Fatalf("%d bytes are less than two pieces", size)
	}
	for _, pieces := range []int{-1, 0, 4, records} {
		dir := t.TempDir()
		ix, _, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var first record.Batch
		first.SetMeta("before", []byte("there"))
		if err := ix.Commit(&first); err != nil {
			t.Fatal(err)
		}
		want := ix.Commits() + 1
		if pieces < 0 {
			err = ix.Commit(&b)
		} else {
			// As far as a process comes that is killed.
			j := journal{commit: want, counter: ix.counter, changes: sortedOf(t, &b)}
			if err = writeJournal(ix.journal, j); err == nil {
				err = ix.db.Update(func(tx *bbolt.Tx) error { return enterChanges(tx, j.changes[:pieces]) })
			}
		}
		if err == nil {
			err = ix.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		ix, recovery, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if (recovery.Fate == Repaired) != (pieces >= 0) {
			t.Errorf("%d records in the database: %+v", pieces, recovery)
		}
		content, err := ix.Load()
		if err != nil {
			t.Fatal(err)
		}
		if got := ix.Commits(); got != want {
			t.Errorf("%d records in the database: commit %d, not %d", pieces, got, want)
		}
		for i := range records {
			if got := content.Meta[fmt.Sprintf("piece %02d", i)]; !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 1<<20)) {
				t.Errorf("%d records in the database: record %d has %d bytes", pieces, i, len(got))
			}
		}
		if content.Meta["before"] != nil {
			t.Errorf("%d records in the database: what was deleted is there", pieces)
		}
		if err := ix.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func sortedOf(t *testing.T, b *record.Batch) []record.Record {
	t.Helper()
	changes, _, err := b.Records()
	if err != nil {
		t.Fatal(err)
	}
	return changes
}
