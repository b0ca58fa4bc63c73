// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"testing"
)

// chainLog is a log as an index has it.
type chainLog struct {
	chain   Chain
	entries map[uint64][]byte
}

// commit enters what a batch has.
func (l *chainLog) commit(t *testing.T, fill func(b *Batch)) {
	t.Helper()
	var b Batch
	fill(&b)
	l.chain.Record(&b)
	records, _, err := b.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		switch {
		case Buckets[r.Bucket] == BucketMeta:
			if l.chain, err = ReadChain(r.Value, 0); err != nil {
				t.Fatal(err)
			}
		case r.Value == nil:
			delete(l.entries, binary.BigEndian.Uint64(r.Key))
		default:
			l.entries[binary.BigEndian.Uint64(r.Key)] = r.Value
		}
	}
}

func (l *chainLog) check() *Checked {
	x := l.chain.Check()
	for _, seq := range slices.Sorted(maps.Keys(l.entries)) {
		x.Entry(l.chain, seq, l.entries[seq])
	}
	x.End(l.chain)
	return x
}

func (l *chainLog) event(t *testing.T, seq uint64) (e Event) {
	t.Helper()
	if err := json.Unmarshal(l.entries[seq], &e); err != nil {
		t.Fatal(err)
	}
	e.Seq = seq
	return e
}

// newLog is a log of entries 3 to 20, of which every fourth is about tampering; 1 and 2 are
// from before the chain, and some were dropped.
func newLog(t *testing.T) *chainLog {
	t.Helper()
	l := &chainLog{entries: map[uint64][]byte{}}
	for seq := uint64(1); seq <= 2; seq++ {
		l.entries[seq], _ = json.Marshal(Event{Seq: seq, Kind: "published", When: noon})
	}
	l.chain, _ = ReadChain(nil, 3)
	for seq := uint64(3); seq <= 20; seq++ {
		kind := "published"
		if seq%4 == 0 {
			kind = KindTampered
		}
		// Bytes that JSON writes otherwise than it reads them stay what they are.
		l.commit(t, func(b *Batch) {
			l.chain.Put(b, Event{Seq: seq, Kind: kind, When: noon, Text: "\xff<&> \u2028 " + string(rune('a'+seq))})
		})
	}
	return l
}

// A log is whole before and after it is pruned, room by room.
func TestChainIsWhole(t *testing.T) {
	l := newLog(t)
	whole := func(entries, unchained int) {
		t.Helper()
		if x := l.check(); len(x.Faults) > 0 || x.Entries != entries || x.Unchained != unchained {
			t.Errorf("%+v", x)
		}
	}
	whole(20, 2)
	for i, drop := range [][]uint64{{1}, {2, 3}, {4, 8}, {5, 6, 7}, {9, 10, 11, 13, 14, 15, 17, 18, 19}, {12, 16, 20}} {
		l.commit(t, func(b *Batch) {
			for _, seq := range drop {
				l.chain.Drop(b, l.event(t, seq))
			}
		})
		whole(len(l.entries), []int{1, 0, 0, 0, 0, 0}[i])
	}
	if len(l.entries) > 0 {
		t.Errorf("%d are left", len(l.entries))
	}
	// It goes on after everything was dropped.
	l.commit(t, func(b *Batch) { l.chain.Put(b, Event{Seq: 21, Kind: "published", When: noon}) })
	whole(1, 0)
}

// Each entry that is cut, changed, moved or added is noticed.
func TestChainIsBroken(t *testing.T) {
	broken := func(what string, do func(l *chainLog)) {
		t.Helper()
		l := newLog(t)
		l.commit(t, func(b *Batch) {
			for _, seq := range []uint64{1, 2, 3, 5} {
				l.chain.Drop(b, l.event(t, seq))
			}
		})
		if x := l.check(); len(x.Faults) > 0 {
			t.Fatalf("before: %v", x.Faults)
		}
		do(l)
		if x := l.check(); len(x.Faults) == 0 {
			t.Errorf("%s: not noticed", what)
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(newLog(t).entries)) {
		if seq <= 5 && seq != 4 {
			continue
		}
		broken("cut", func(l *chainLog) { delete(l.entries, seq) })
		broken("cut to the end", func(l *chainLog) {
			maps.DeleteFunc(l.entries, func(s uint64, _ []byte) bool { return s >= seq })
		})
		broken("cut from the beginning", func(l *chainLog) {
			maps.DeleteFunc(l.entries, func(s uint64, _ []byte) bool { return s <= seq })
		})
		broken("changed", func(l *chainLog) {
			l.entries[seq] = bytes.Replace(l.entries[seq], []byte(`"uid":0`), []byte(`"uid":1`), 1)
		})
		broken("another room", func(l *chainLog) {
			other := []byte("published")
			if seq%4 != 0 {
				other = []byte(KindTampered)
			}
			l.entries[seq] = bytes.Replace(l.entries[seq], []byte(`"kind":"`+l.event(t, seq).Kind), append([]byte(`"kind":"`), other...), 1)
		})
		broken("hash taken away", func(l *chainLog) { l.entries[seq], _, _ = unchained(l.entries[seq]) })
		broken("no JSON", func(l *chainLog) { l.entries[seq] = []byte("{") })
		if seq < 20 && seq > 5 {
			broken("swapped", func(l *chainLog) { l.entries[seq], l.entries[seq+1] = l.entries[seq+1], l.entries[seq] })
		}
	}
	broken("added at the end", func(l *chainLog) { l.entries[21], _ = json.Marshal(Event{Seq: 21, Kind: "published"}) })
	broken("added at the end with a hash", func(l *chainLog) {
		var b Batch
		forged := l.chain
		forged.Put(&b, Event{Seq: 21, Kind: "published"})
		l.entries[21] = b.changes[0].Value
	})
	broken("put back", func(l *chainLog) { l.entries[5] = newLog(t).entries[5] })
	broken("everything", func(l *chainLog) { clear(l.entries) })
}

// Many faults are counted.
func TestChainFaults(t *testing.T) {
	l := newLog(t)
	for seq := range uint64(300) {
		l.entries[100+seq] = []byte("{")
	}
	if x := l.check(); len(x.Faults) != MaxFaults || x.More != 200 {
		t.Errorf("%d faults and %d more", len(x.Faults), x.More)
	}
}
