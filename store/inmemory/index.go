// SPDX-License-Identifier: Apache-2.0

package inmemory

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

const bucketLog, bucketRetired, bucketLists, bucketMeta = "log", "retired", "lists", "meta"

// Index is an index in memory. The zero value is empty and ready. Any goroutine may use
// it.
type Index struct {
	mu      sync.Mutex
	buckets map[string]map[string]*kept // except the log
	log     []*entry                    // in order
	commits uint64
	counter uint64
}

// kept caches the parsed form of a record: a machine that starts often reads it often.
type kept struct {
	value   []byte
	content *record.Content // with only this record in it
}

// decode returns the parsed record, which must not be changed.
func (k *kept) decode(bucket, key string) (*record.Content, error) {
	if k.content == nil {
		c, err := store.ReadContent(func(name string, fn func(key, value []byte) error) error {
			if name != bucket {
				return nil
			}
			return fn([]byte(key), k.value)
		})
		if err != nil {
			return nil, err
		}
		k.content = &c
	}
	return k.content, nil
}

// entry caches the parsed form of a log entry.
type entry struct {
	seq   uint64
	value []byte
	event *record.Event
}

func (e *entry) decode() (record.Event, error) {
	if e.event == nil {
		e.event = &record.Event{Seq: e.seq}
		if err := json.Unmarshal(e.value, e.event); err != nil {
			return record.Event{}, err
		}
	}
	return *e.event, nil
}

// Commit makes all changes of b, or none.
func (x *Index) Commit(b *record.Batch) error {
	records, counter, err := b.Records()
	if err != nil || len(records) == 0 {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.buckets == nil {
		x.buckets = map[string]map[string]*kept{}
	}
	for _, r := range records {
		name := record.Buckets[r.Bucket]
		if name == bucketLog {
			x.enter(r)
			continue
		}
		bucket := x.buckets[name]
		if bucket == nil {
			bucket = map[string]*kept{}
			x.buckets[name] = bucket
		}
		if r.Value == nil {
			delete(bucket, string(r.Key))
		} else {
			bucket[string(r.Key)] = &kept{value: r.Value}
		}
	}
	x.commits++
	x.counter = max(x.counter, counter)
	return nil
}

// enter adds an entry to the log, or removes one.
func (x *Index) enter(r record.Record) {
	seq := binary.BigEndian.Uint64(r.Key)
	i := x.after(seq - 1)
	there := i < len(x.log) && x.log[i].seq == seq
	if r.Value == nil {
		if there {
			x.log = slices.Delete(x.log, i, i+1)
		}
		return
	}
	e := &entry{seq: seq, value: r.Value}
	if there {
		x.log[i] = e
	} else {
		x.log = slices.Insert(x.log, i, e)
	}
}

// after returns the index of the first entry after seq.
func (x *Index) after(seq uint64) int {
	i, _ := slices.BinarySearchFunc(x.log, seq+1, func(e *entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
	return i
}

// Counter returns the highest activation counter ever committed.
func (x *Index) Counter() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.counter
}

// Commits returns how many commits changed something.
func (x *Index) Commits() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.commits
}

// Load reads all records.
func (x *Index) Load() (record.Content, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c, err := x.read()
	c.LogSize = len(x.log)
	if c.LogSize > 0 {
		c.NextSeq = x.log[len(x.log)-1].seq + 1
	}
	return c, err
}

// Content reads the records of these buckets.
func (x *Index) Content(buckets ...string) (record.Content, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.read(buckets...)
}

func (x *Index) read(only ...string) (record.Content, error) {
	c, err := store.ReadContent(func(string, func(key, value []byte) error) error { return nil })
	for name, bucket := range x.buckets {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(bucket)) {
			one, derr := bucket[key].decode(name, key)
			if derr != nil {
				err = errors.Join(err, derr)
				continue
			}
			join(&c, one)
		}
	}
	return c, err
}

// join adds one record to c.
func join(c, one *record.Content) {
	c.Lists, c.Lines, c.Keys = append(c.Lists, one.Lists...), append(c.Lines, one.Lines...), append(c.Keys, one.Keys...)
	c.Asides, c.Denials, c.Own = append(c.Asides, one.Asides...), append(c.Denials, one.Denials...), append(c.Own, one.Own...)
	c.Origins, c.Advised = append(c.Origins, one.Origins...), append(c.Advised, one.Advised...)
	maps.Copy(c.Retired, one.Retired)
	maps.Copy(c.Meta, one.Meta)
	if c.Taken == nil && one.Taken != nil {
		c.Taken = map[string]uint64{}
	}
	maps.Copy(c.Taken, one.Taken)
}

// Lists returns the records of lists, in no order.
func (x *Index) Lists() (lists []record.List, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, r := range x.buckets[bucketLists] {
		c, err := r.decode(bucketLists, name)
		if err != nil {
			return nil, err
		}
		lists = append(lists, c.Lists...)
	}
	return lists, nil
}

// List returns the record of one list; ok is false if there is none.
func (x *Index) List(name string) (l record.List, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.buckets[bucketLists][name]
	if r == nil {
		return l, false
	}
	c, err := r.decode(bucketLists, name)
	if err != nil {
		return l, false
	}
	return c.Lists[0], true
}

// Meta returns the small value of that name, nil if there is none. It must not be
// changed.
func (x *Index) Meta(name string) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.buckets[bucketMeta][name]; r != nil {
		return r.value
	}
	return nil
}

// HasMeta reports whether there is a small value whose name begins so.
func (x *Index) HasMeta(prefix string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.buckets[bucketMeta] {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Retired returns the bodies that must not come back.
func (x *Index) Retired() (retired []record.Retirement, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c, err := x.read(bucketRetired)
	for _, body := range slices.SortedFunc(maps.Keys(c.Retired), func(a, b record.Digest) int { return slices.Compare(a[:], b[:]) }) {
		retired = append(retired, c.Retired[body])
	}
	return retired, err
}

// EachKind calls fn with the number and the kind of every entry of the log, the oldest
// first.
func (x *Index) EachKind(fn func(seq uint64, kind string)) error {
	x.KindsAfter(0, fn)
	return nil
}

// EventsAfter returns up to limit entries of the log that came after the entry seq, the
// oldest first.
func (x *Index) EventsAfter(seq uint64, limit int) (events []record.Event, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.log[x.after(seq):] {
		if len(events) == limit {
			break
		}
		event, err := e.decode()
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, nil
}

// EachEntry calls begin with the record of the log's hash chain, nil if there is none, and fn
// with the number of every entry and the entry as it is stored, the oldest first.
func (x *Index) EachEntry(begin func(chain []byte), fn func(seq uint64, value []byte)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var chain []byte
	if r := x.buckets[bucketMeta][record.MetaChain]; r != nil {
		chain = r.value
	}
	begin(chain)
	for _, e := range x.log {
		fn(e.seq, e.value)
	}
	return nil
}

// EachEvent calls fn with every entry of the log before the entry seq, or with all if
// seq is 0, the newest first, until it returns false.
func (x *Index) EachEvent(before uint64, fn func(record.Event) bool) error {
	for _, e := range slices.Backward(x.entries(0)) {
		if before > 0 && e.seq >= before {
			continue
		}
		x.mu.Lock()
		event, err := e.decode()
		x.mu.Unlock()
		if err != nil {
			return err
		}
		if !fn(event) {
			break
		}
	}
	return nil
}

// KindsAfter calls fn with the number and the kind of every entry that came after seq.
func (x *Index) KindsAfter(seq uint64, fn func(seq uint64, kind string)) {
	for _, e := range x.entries(seq) {
		fn(e.seq, kindOf(e.value))
	}
}

// kindOf finds the kind in an entry as it is stored.
func kindOf(value []byte) string {
	_, rest, _ := bytes.Cut(value, []byte(`"kind":"`))
	kind, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(kind)
}

// LastEvent returns the number of the latest entry, 0 if there is none.
func (x *Index) LastEvent() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.log) == 0 {
		return 0
	}
	return x.log[len(x.log)-1].seq
}

func (x *Index) entries(after uint64) []*entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.log[x.after(after):])
}

// Settle does nothing: the index cannot be replaced.
func (x *Index) Settle() error { return nil }

// Restored returns false.
func (x *Index) Restored() bool { return false }

// Behind returns nil.
func (x *Index) Behind() error { return nil }

// Close keeps everything for the next user.
func (x *Index) Close() error { return nil }

// Clone returns a copy, as a backup has it.
func (x *Index) Clone() *Index {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := &Index{buckets: map[string]map[string]*kept{}, log: slices.Clone(x.log), commits: x.commits, counter: x.counter}
	for name, bucket := range x.buckets {
		c.buckets[name] = maps.Clone(bucket)
	}
	return c
}
