// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// An index that was written before numbers its buckets so.
func TestBucketsKeepTheirNumbers(t *testing.T) {
	want := []string{"meta", "lists", "lines", "retired", "keys", "aside", "log", "denied", "own", "pending"}
	if len(Buckets) < len(want) || !slices.Equal(Buckets[:len(want)], want) {
		t.Errorf("buckets are %q, want %q", Buckets, want)
	}
}

// Each change is one record: its bucket, its key and its value as they lie on disk.
func TestRecords(t *testing.T) {
	tool := nevra.NEVRA{Name: "tool", EVR: nevra.EVR{Version: "1", Release: "2"}, Arch: "noarch"}
	body := Digest{0: 0xab, 31: 0xcd}
	act := Act{UID: 7, Reason: "test", When: noon}
	const when = `"2026-11-28T12:00:00Z"`
	hex := "ab" + strings.Repeat("00", 30) + "cd"
	for what, tc := range map[string]struct {
		change             func(b *Batch)
		bucket, key, value string // value "" for one that is deleted
	}{
		"list": {func(b *Batch) {
			b.PutList(List{Name: "tlv-x", State: Active, Header: body, Files: 2, Counter: 9, Since: noon})
		}, "lists", "tlv-x",
			`{"state":"active","header":"` + hex + `","files":2,"counter":9,"since":` + when + `}`},
		"own list": {func(b *Batch) {
			b.PutList(List{Name: "tlv-own-x", State: Active, Package: tool, Own: "x", Version: 3, Since: noon})
		}, "lists", "tlv-own-x",
			`{"state":"active","header":"","since":` + when + `,"own":"x","version":3}`},
		"list gone": {func(b *Batch) { b.DeleteList("tlv-x") }, "lists", "tlv-x", ""},
		"line":      {func(b *Batch) { b.PutLine(Line{Name: "tool", Arch: "noarch", Counter: 4}) }, "lines", "tool\x00noarch", `{"counter":4}`},
		"line gone": {func(b *Batch) { b.DeleteLine("tool", "noarch") }, "lines", "tool\x00noarch", ""},
		"retirement": {func(b *Batch) {
			b.PutRetirement(Retirement{Body: body, List: "tlv-x", Package: tool, Own: "x", When: noon, Reason: "replaced"})
		}, "retired", string(body[:]), `{"list":"tlv-x","own":"x","when":` + when + `,"reason":"replaced"}`},
		"retirement gone":  {func(b *Batch) { b.DeleteRetirement(body) }, "retired", string(body[:]), ""},
		"key gone is kept": {func(b *Batch) { b.PutKey(Key{Fingerprint: "f00d", FirstSeen: noon}) }, "keys", "f00d", `{"firstSeen":` + when + `}`},
		"aside gone":       {func(b *Batch) { b.DeleteAside("x") }, "aside", "x", ""},
		"meta":             {func(b *Batch) { b.SetMeta("mark", []byte("1")) }, "meta", "mark", "1"},
		"meta gone":        {func(b *Batch) { b.SetMeta("mark", nil) }, "meta", "mark", ""},
		"leftover":         {func(b *Batch) { b.PutLeftover(Leftover{Name: "tlv-x", Why: "busy", Since: noon}) }, "meta", "leftover/tlv-x", `{"why":"busy","since":` + when + `}`},
		"leftover gone":    {func(b *Batch) { b.DeleteLeftover("tlv-x") }, "meta", "leftover/tlv-x", ""},
		"denial":           {func(b *Batch) { b.PutDenial(Denial{ID: "d", Package: "tool", Below: "2", Act: act}) }, "denied", "d", `{"package":"tool","below":"2","uid":7,"reason":"test","when":` + when + `}`},
		"denial gone":      {func(b *Batch) { b.DeleteDenial("d") }, "denied", "d", ""},
		"own": {func(b *Batch) {
			b.PutOwn(Own{Name: "x", List: "tlv-own-x", Version: 1, Last: 2, Sources: [][]byte{{0xff}}, Created: noon, Changed: act})
		}, "own", "x",
			`{"list":"tlv-own-x","version":1,"last":2,"body":"","sources":["/w=="],"created":` + when + `,"changed":{"uid":7,"reason":"test","when":` + when + `}}`},
		"own gone":   {func(b *Batch) { b.DeleteOwn("x") }, "own", "x", ""},
		"event gone": {func(b *Batch) { b.DropEvent(258) }, "log", "\x00\x00\x00\x00\x00\x00\x01\x02", ""},
		"taken":      {func(b *Batch) { b.SetTaken("journal", 258) }, "pending", "journal", "\x00\x00\x00\x00\x00\x00\x01\x02"},
	} {
		var b Batch
		if !b.Empty() {
			t.Errorf("%s: a new batch has something", what)
		}
		tc.change(&b)
		records, _, err := b.Records()
		if err != nil || len(records) != 1 || b.Empty() {
			t.Errorf("%s: %d records, %v", what, len(records), err)
			continue
		}
		r := records[0]
		if Buckets[r.Bucket] != tc.bucket || string(r.Key) != tc.key || string(r.Value) != tc.value || (r.Value == nil) != (tc.value == "") {
			t.Errorf("%s: %s %q\n%s\nwant %s %q\n%s", what, Buckets[r.Bucket], r.Key, r.Value, tc.bucket, tc.key, tc.value)
		}
	}
}

// The entry of the log under its number, in the order of numbers.
func TestEvents(t *testing.T) {
	var b Batch
	for _, seq := range []uint64{256, 2, 255} {
		b.PutEvent(Event{Seq: seq})
	}
	records, _, err := b.Records()
	if err != nil || len(records) != 3 || bytes.Compare(records[0].Key, records[1].Key) >= 0 || bytes.Compare(records[1].Key, records[2].Key) >= 0 {
		t.Errorf("%v, %v", records, err)
	}
}

// The last change to a key counts, and the highest counter of all.
func TestBatch(t *testing.T) {
	var b, later Batch
	b.PutLine(Line{Name: "b", Arch: "x", Counter: 5})
	b.SetMeta("k", []byte("first"))
	b.DeleteList("l")
	before := b
	later.SetMeta("k", []byte("last"))
	later.PutList(List{Name: "l", Counter: 3})
	b.Append(later)
	records, counter, err := b.Records()
	if err != nil || counter != 5 {
		t.Errorf("counter %d, %v", counter, err)
	}
	var got []string
	for _, r := range records {
		value, _, _ := bytes.Cut(r.Value, []byte(","))
		got = append(got, Buckets[r.Bucket]+" "+string(r.Key)+" "+string(value))
	}
	want := []string{"meta k last", `lists l {"state":""`, "lines b\x00x " + `{"counter":5}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if old, _, _ := before.Records(); len(old) != 3 {
		t.Errorf("a copy that was made before has %d changes, want 3", len(old))
	}
	if name, arch := SplitLineKey([]byte("b\x00x")); name != "b" || arch != "x" {
		t.Errorf("split into %q and %q", name, arch)
	}
}

// A record that cannot be encoded is an error of the batch, and of a batch that contains it.
func TestNotEncoded(t *testing.T) {
	var bad, b Batch
	bad.put(BucketMeta, []byte("nan"), math.NaN())
	b.SetMeta("k", []byte("v"))
	b.Append(bad)
	if _, _, err := b.Records(); err == nil || !strings.Contains(err.Error(), `cannot encode record "nan" of meta`) {
		t.Errorf("%v", err)
	}
}

func TestDigest(t *testing.T) {
	d := Digest{0: 0x01, 31: 0xff}
	text := "01" + strings.Repeat("00", 30) + "ff"
	if d.String() != text || d.IsZero() || !(Digest{}).IsZero() {
		t.Errorf("%s, zero: %t", d, d.IsZero())
	}
	for encoded, want := range map[string]Digest{`"` + text + `"`: d, `""`: {}, `"` + strings.ToUpper(text) + `"`: d} {
		var got Digest
		if err := json.Unmarshal([]byte(encoded), &got); err != nil || got != want {
			t.Errorf("%s is %v, %v", encoded, got, err)
		}
	}
	for _, bad := range []string{text[1:], text + "00", "zz" + text[2:]} {
		if err := d.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a digest", bad)
		}
	}
}
