// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"testing"

	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
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
