// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/digestd/digestd/store/record"
	"go.etcd.io/bbolt"
)

// The log of decisions is also an outbox: an entry becomes durable in the commit of the
// decision, and the carrier of the log records here which entries it has delivered.

// Events returns up to limit entries of the log, newest first, after skipping
// offset of them, and the number of entries in all. It may be called from any
// goroutine.
func (ix *Index) Events(offset, limit int) (events []record.Event, total int, err error) {
	err = ix.view(func(tx *bbolt.Tx) error {
		log := tx.Bucket([]byte(record.BucketLog))
		total = log.Stats().KeyN
		cursor := log.Cursor()
		for k, v := cursor.Last(); k != nil && len(events) < limit; k, v = cursor.Prev() {
			if offset > 0 {
				offset--
				continue
			}
			e, err := readEvent(k, v)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return nil
	})
	return events, total, err
}

// Retired returns the bodies that must not come back. It may be called from any
// goroutine.
func (ix *Index) Retired() (retired []record.Retirement, err error) {
	err = ix.view(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(record.BucketRetired)).ForEach(func(k, v []byte) error {
			v, err := unseal(record.BucketRetired, k, v)
			var r record.Retirement
			if err == nil {
				r, err = readRetirement(k, v)
			}
			if err != nil {
				return fmt.Errorf("cannot read record %x of %s: %w", k, record.BucketRetired, err)
			}
			retired = append(retired, r)
			return nil
		})
	})
	return retired, err
}

func readRetirement(k, v []byte) (r record.Retirement, err error) {
	if len(k) != len(r.Body) {
		return r, errors.New("key is no digest")
	}
	copy(r.Body[:], k)
	return r, json.Unmarshal(v, &r)
}

// EachKind calls fn with the number and the kind of every entry of the log, the oldest first. It
// reads no more of an entry than its kind.
func (ix *Index) EachKind(fn func(seq uint64, kind string)) error {
	return ix.view(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(record.BucketLog)).ForEach(func(k, v []byte) error {
			if len(k) == 8 {
				fn(binary.BigEndian.Uint64(k), kindOfEvent(v))
			}
			return nil
		})
	})
}

// EachEntry calls begin with the record of the log's hash chain, nil if there is none, and fn
// with the number of every entry and the entry as it is stored, the oldest first, all as of one
// commit. Their arguments are valid until they return. An entry that is damaged is nil. It may
// be called from any goroutine.
func (ix *Index) EachEntry(begin func(chain []byte), fn func(seq uint64, value []byte)) error {
	return ix.view(func(tx *bbolt.Tx) error {
		var chain []byte
		key := []byte(record.MetaChain)
		if v := tx.Bucket([]byte(record.BucketMeta)).Get(key); v != nil {
			content, err := unseal(record.BucketMeta, key, v)
			if err != nil {
				return fmt.Errorf("cannot read the hash chain of the log: %w", err)
			}
			chain = content
		}
		begin(chain)
		return tx.Bucket([]byte(record.BucketLog)).ForEach(func(k, v []byte) error {
			content, err := unseal(record.BucketLog, k, v)
			if len(k) != 8 {
				return fmt.Errorf("cannot read the log: %x is no number of an entry", k)
			}
			if err != nil {
				content = nil
			}
			fn(binary.BigEndian.Uint64(k), content)
			return nil
		})
	})
}

// kindOfEvent finds the kind in a stored entry, in which no other text precedes it.
func kindOfEvent(value []byte) string {
	const key = `"kind":"`
	_, rest, found := bytes.Cut(value, []byte(key))
	kind, _, closed := bytes.Cut(rest, []byte{'"'})
	if !found || !closed {
		return ""
	}
	return string(kind)
}

// EventsAfter returns up to limit entries of the log that came after the entry
// seq, the oldest first. It may be called from any goroutine.
func (ix *Index) EventsAfter(seq uint64, limit int) (events []record.Event, err error) {
	err = ix.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket([]byte(record.BucketLog)).Cursor()
		for k, v := cursor.Seek(binary.BigEndian.AppendUint64(nil, seq+1)); k != nil && len(events) < limit; k, v = cursor.Next() {
			e, err := readEvent(k, v)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return nil
	})
	return events, err
}

// EachEvent calls fn with every entry of the log before the entry seq, the
// newest first, until it returns false. It may be called from any goroutine.
func (ix *Index) EachEvent(before uint64, fn func(record.Event) bool) error {
	return ix.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket([]byte(record.BucketLog)).Cursor()
		k, v := cursor.Last()
		if start := binary.BigEndian.AppendUint64(nil, before); before > 0 {
			if k, _ = cursor.Seek(start); k != nil {
				k, v = cursor.Prev()
			} else {
				k, v = cursor.Last()
			}
		}
		for ; k != nil; k, v = cursor.Prev() {
			e, err := readEvent(k, v)
			if err != nil {
				return err
			}
			if !fn(e) {
				return nil
			}
		}
		return nil
	})
}

func readEvent(k, v []byte) (e record.Event, err error) {
	if len(k) == 8 {
		e.Seq = binary.BigEndian.Uint64(k)
	}
	if v, err = unseal(record.BucketLog, k, v); err == nil {
		err = json.Unmarshal(v, &e)
	}
	if err != nil {
		return e, fmt.Errorf("cannot read entry %d of the log: %w", e.Seq, err)
	}
	return e, nil
}
