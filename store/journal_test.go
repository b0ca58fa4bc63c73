// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

func FuzzDecodeJournal(f *testing.F) {
	j := journal{commit: 7, counter: 9, changes: []record.Record{{Bucket: 1, Key: []byte("k"), Value: []byte("v")}, {Bucket: 2, Key: []byte("gone"), Value: nil}}}
	f.Add(j.encode())
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := decodeJournal(data)
		if err != nil {
			return
		}
		if diff := cmp.Diff(data, j.encode()); diff != "" {
			t.Errorf("not the bytes it was read from:\n%s", diff)
		}
	})
}

func TestJournalRoundTrip(t *testing.T) {
	j := journal{commit: 7, counter: 9, changes: []record.Record{{Bucket: 1, Key: []byte("k"), Value: []byte{}}, {Bucket: 2, Key: []byte("gone"), Value: nil}}}
	got, err := decodeJournal(j.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(j, got, cmp.AllowUnexported(journal{}, record.Record{})); diff != "" {
		t.Error(diff)
	}
	data := j.encode()
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 1
		if _, err := decodeJournal(bad); err == nil {
			t.Errorf("damage at byte %d went unnoticed", i)
		}
	}
}
