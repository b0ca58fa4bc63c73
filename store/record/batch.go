// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/digestlist/nevra"
)

// The buckets of the index.
const (
	BucketMeta    = "meta"
	BucketLists   = "lists"
	BucketLines   = "lines"
	BucketRetired = "retired"
	BucketKeys    = "keys"
	BucketAside   = "aside"
	BucketLog     = "log"
	BucketDenied  = "denied"  // denials
	BucketOwn     = "own"     // the owner's own lists
	BucketPending = "pending" // by carrier, the last entry of the log that it delivered; later ones wait
	BucketOrigins = "origins" // repositories whose advisories apply
	BucketAdvised = "advised" // versions that advisories require
)

// Buckets names every bucket; its order is the number a journal entry carries.
var Buckets = [...]string{BucketMeta, BucketLists, BucketLines, BucketRetired, BucketKeys, BucketAside, BucketLog,
	BucketDenied, BucketOwn, BucketPending, BucketOrigins, BucketAdvised}

// Record is one record of the index, as a commit leaves it.
type Record struct {
	Bucket     uint8  // of Buckets
	Key, Value []byte // Value is nil if the commit deletes it
}

// Batch collects changes for one commit. The zero value is empty and ready.
type Batch struct {
	Urgent  bool // lists must go: the index may use the space that it keeps in reserve
	changes []Record
	counter uint64 // highest activation counter among the changes
	err     error
}

// Empty reports whether b has no changes.
func (b *Batch) Empty() bool { return len(b.changes) == 0 }

// Append adds the changes of later after those of b. Copies of b that were made before do not
// change.
func (b *Batch) Append(later Batch) {
	b.changes = append(slices.Clip(b.changes), later.changes...)
	b.counter = max(b.counter, later.counter)
	b.Urgent = b.Urgent || later.Urgent
	if b.err == nil {
		b.err = later.err
	}
}

func (b *Batch) put(bucket string, key []byte, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		b.err = fmt.Errorf("cannot encode record %q of %s: %w", key, bucket, err)
		return
	}
	b.Set(bucket, key, data)
}

func (b *Batch) Set(bucket string, key, value []byte) {
	b.changes = append(b.changes, Record{uint8(slices.Index(Buckets[:], bucket)), key, value})
}

// PutList records l under its name.
func (b *Batch) PutList(l List) {
	b.counter = max(b.counter, l.Counter)
	if l.Own != "" {
		l.Package = nevra.NEVRA{}
	}
	b.put(BucketLists, []byte(l.Name), l)
}

// DeleteList removes the record of the list with that name.
func (b *Batch) DeleteList(name string) { b.Set(BucketLists, []byte(name), nil) }

// PutLine records l under its name and architecture.
func (b *Batch) PutLine(l Line) {
	b.counter = max(b.counter, l.Counter)
	b.put(BucketLines, lineKey(l.Name, l.Arch), l)
}

// DeleteLine removes the line with that name and architecture, whose first version was not
// installed after all.
func (b *Batch) DeleteLine(name, arch string) { b.Set(BucketLines, lineKey(name, arch), nil) }

// PutRetirement records the body of a list that must not come back.
func (b *Batch) PutRetirement(r Retirement) {
	if r.Own != "" {
		r.Package = nevra.NEVRA{}
	}
	b.put(BucketRetired, r.Body[:], r)
}

// PutKey records k under its fingerprint.
func (b *Batch) PutKey(k Key) { b.put(BucketKeys, []byte(k.Fingerprint), k) }

// DeleteRetirement removes the retirement of a body whose list is active again.
func (b *Batch) DeleteRetirement(body Digest) { b.Set(BucketRetired, body[:], nil) }

// PutAside records a file in quarantine.
func (b *Batch) PutAside(a Aside) { b.put(BucketAside, []byte(a.Name), a) }

// DeleteAside removes the record of a file in quarantine.
func (b *Batch) DeleteAside(name string) { b.Set(BucketAside, []byte(name), nil) }

// SetMeta sets a small named value; nil removes it.
func (b *Batch) SetMeta(name string, value []byte) { b.Set(BucketMeta, []byte(name), value) }

// Sorted returns the last change to every key, in bucket and key order: bbolt
// inserts sorted keys in linear time, unsorted ones in quadratic. It reorders changes.
func Sorted(changes []Record) []Record {
	slices.SortStableFunc(changes, func(x, y Record) int {
		if x.Bucket != y.Bucket {
			return int(x.Bucket) - int(y.Bucket)
		}
		return bytes.Compare(x.Key, y.Key)
	})
	out := changes[:0]
	for _, c := range changes {
		if n := len(out); n > 0 && out[n-1].Bucket == c.Bucket && bytes.Equal(out[n-1].Key, c.Key) {
			out[n-1] = c
			continue
		}
		out = append(out, c)
	}
	return out
}

// Records returns the changes of b, one for each key, in the order of buckets and keys, and the
// highest activation counter among them. An error means that a value could not be encoded.
func (b *Batch) Records() (records []Record, counter uint64, err error) {
	b.changes = Sorted(b.changes)
	return b.changes, b.counter, b.err
}

func lineKey(name, arch string) []byte { return []byte(name + "\x00" + arch) }

func SplitLineKey(key []byte) (name, arch string) {
	name, arch, _ = strings.Cut(string(key), "\x00")
	return name, arch
}

// PutEvent appends e to the log under its sequence number.
func (b *Batch) PutEvent(e Event) { b.put(BucketLog, binary.BigEndian.AppendUint64(nil, e.Seq), e) }

// DropEvent removes the entry seq from the log.
func (b *Batch) DropEvent(seq uint64) {
	b.Set(BucketLog, binary.BigEndian.AppendUint64(nil, seq), nil)
}

// SetTaken records that the carrier who has delivered the log up to the entry seq.
func (b *Batch) SetTaken(who string, seq uint64) {
	b.Set(BucketPending, []byte(who), binary.BigEndian.AppendUint64(nil, seq))
}
