// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/store/record"
)

// The log is read from either end, and what was taken of it outlives the daemon.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	ix, _ := open(t, dir)
	commit(t, ix, func(b *record.Batch) {
		for seq := uint64(1); seq <= 9; seq++ {
			b.PutEvent(record.Event{Seq: seq, Kind: "published", Unit: "a.service", Digest: record.Digest{byte(seq)}, When: when})
		}
		b.SetTaken("journal", 4)
	})
	commit(t, ix, func(b *record.Batch) {
		b.DropEvent(1)
		b.SetTaken("journal", 5)
	})
	seqs := func(events []record.Event) (s []uint64) {
		for _, e := range events {
			if e.Unit != "a.service" || e.Digest != (record.Digest{byte(e.Seq)}) {
				t.Errorf("entry %d came back as %+v", e.Seq, e)
			}
			s = append(s, e.Seq)
		}
		return s
	}
	after := func(seq uint64, limit int) []uint64 {
		t.Helper()
		events, err := ix.EventsAfter(seq, limit)
		if err != nil {
			t.Fatal(err)
		}
		return seqs(events)
	}
	for _, c := range []struct {
		got, want []uint64
	}{
		{after(0, 3), []uint64{2, 3, 4}},
		{after(5, 100), []uint64{6, 7, 8, 9}},
		{after(9, 100), nil},
		{after(1<<63, 100), nil},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	for before, want := range map[uint64][]uint64{0: {9, 8, 7}, 5: {4, 3, 2}, 1: nil, 2: nil, 100: {9, 8, 7}} {
		var events []record.Event
		err := ix.EachEvent(before, func(e record.Event) bool {
			events = append(events, e)
			return len(events) < 3
		})
		if got := seqs(events); err != nil || !slices.Equal(got, want) {
			t.Errorf("before %d: got %v, %v, want %v", before, got, err, want)
		}
	}
	ix.Close()
	ix, _ = open(t, dir)
	c, err := ix.Load()
	if err != nil || c.Taken["journal"] != 5 || len(c.Taken) != 1 || c.NextSeq != 10 || c.LogSize != 8 {
		t.Errorf("after a restart: %+v, %v", c, err)
	}
}
