// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/record"
	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Schema is the version of the Buckets and records this package writes. An
// index of a higher schema is refused, never altered; one of a lower schema is
// upgraded. Schema 2 added to each list the signature that vouches for it and the
// rules by which that was verified.
const Schema = 2

const (
	indexFile   = "index.db"
	journalFile = "index.commit"
	lockFile    = "lock"

	metaSchema  = "schema"
	metaCommit  = "commit"
	metaCounter = "counter"
)

// ErrSchema means that the index was written by a newer digestd.
var ErrSchema = errors.New("index was written by a newer digestd")

// Index is the open database, for one goroutine at a time.
type Index struct {
	dir      string
	mu       sync.RWMutex // held to exchange db, and by readers beside the owner
	db       *bbolt.DB
	file     durable.Inode // identifies the database's file
	journal  string
	lock     *os.File
	commit   uint64
	counter  uint64
	waiting  journal // a commit that the journal has and the database lacks; empty without changes
	behind   error   // why the database lacks it
	restored bool    // written again since it was opened
	reserve  reserve
}

// Behind returns why the database lacks the latest commit, which is durable in the commit file.
// A later Commit enters both. It returns nil if the database is complete.
func (ix *Index) Behind() error { return ix.behind }

// Counter returns the highest activation counter ever committed. It survives
// the loss of the database, not of the whole state directory.
func (ix *Index) Counter() uint64 { return ix.counter }

// Commits returns the number of commits made since the index began.
func (ix *Index) Commits() uint64 { return ix.commit }

// Commit makes all changes of b durable, or none. It waits for the disk. A commit is durable
// once it is in the commit file: if the database cannot take it, for example on a full disk,
// Commit still succeeds, and the next Commit, even of an empty batch, tries again; see Behind.
// Until then readers of the log do not see the latest entries.
//
// On a full disk, an urgent batch gets the space that the index keeps in reserve.
func (ix *Index) Commit(b *record.Batch) error {
	changes, counter, err := b.Records()
	if err != nil {
		return err
	}
	if b.Empty() && ix.behind == nil {
		return nil
	}
	if err := ix.Settle(); err != nil {
		return fmt.Errorf("cannot commit to the index: %w", err)
	}
	if ix.behind != nil {
		ix.enter(ix.waiting)
		if b.Empty() {
			return nil
		}
	}
	j := journal{commit: ix.commit + 1, counter: max(ix.counter, counter), changes: changes}
	if ix.behind != nil {
		// The commit file holds one commit, so this one is merged with the waiting one.
		j.changes = record.Sorted(slices.Concat(ix.waiting.changes, changes))
	}
	err = writeJournal(ix.journal, j)
	if diskFull(err) && b.Urgent && ix.reserve.release() {
		err = writeJournal(ix.journal, j)
		defer ix.reserve.keep() // what is left of it
	}
	if err != nil {
		return fmt.Errorf("cannot commit to the index: %w", err)
	}
	ix.counter = j.counter
	ix.enter(j)
	ix.reserve.restore()
	return nil
}

// enter brings a commit from the commit file into the database, or keeps it for the next
// attempt.
func (ix *Index) enter(j journal) {
	if err := ix.apply(j); err != nil {
		ix.waiting, ix.behind = j, fmt.Errorf("cannot enter the latest commit into the index: %w", err)
		return
	}
	ix.waiting, ix.behind = journal{}, nil
}

// pieceSize is how many bytes of a commit enter the database at a time, because bbolt keeps a
// transaction in memory, several times over, until it is on disk.
const pieceSize = 1 << 20

// apply enters a commit into the database, in pieces. The last piece has the commit's number:
// until then the commit counts as missing, and Open enters it again from the commit file.
func (ix *Index) apply(j journal) error {
	for rest := j.changes; ; {
		n, size := 0, 0
		for n < len(rest) && size < pieceSize {
			size += recordSize(rest[n])
			n++
		}
		last := n == len(rest)
		err := ix.db.Update(func(tx *bbolt.Tx) error {
			growBy(tx)
			if err := enterChanges(tx, rest[:n]); err != nil || !last {
				return err
			}
			if err := putNumber(tx, metaCounter, j.counter); err != nil {
				return err
			}
			return putNumber(tx, metaCommit, j.commit)
		})
		if err != nil {
			return err
		}
		if last {
			ix.commit, ix.counter = j.commit, j.counter
			return nil
		}
		rest = rest[n:]
	}
}

func enterChanges(tx *bbolt.Tx, changes []record.Record) error {
	for _, c := range changes {
		name := record.Buckets[c.Bucket]
		bucket := tx.Bucket([]byte(name))
		var err error
		if c.Value == nil {
			err = bucket.Delete(c.Key)
		} else {
			err = bucket.Put(c.Key, seal(name, c.Key, c.Value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putNumber sets a number that describes the index itself.
func putNumber(tx *bbolt.Tx, name string, n uint64) error {
	key := []byte(name)
	return tx.Bucket([]byte(record.BucketMeta)).Put(key, seal(record.BucketMeta, key, binary.BigEndian.AppendUint64(nil, n)))
}

// number returns a number that describes the index itself, 0 if it was never set.
func number(tx *bbolt.Tx, name string) uint64 {
	key := []byte(name)
	if v, err := unseal(record.BucketMeta, key, tx.Bucket([]byte(record.BucketMeta)).Get(key)); err == nil && len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// view reads the database. Any goroutine may call it.
func (ix *Index) view(fn func(*bbolt.Tx) error) error {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.db.View(fn)
}

// Close releases the database and the lock.
func (ix *Index) Close() error {
	if ix.behind != nil {
		ix.enter(ix.waiting) // on failure the next Open does it
	}
	return errors.Join(ix.db.Close(), ix.lock.Close())
}

// Load reads all records. A record that cannot be parsed is an error: the database passed its
// own checks, so another program wrote the record.
func (ix *Index) Load() (c record.Content, err error) {
	err = ix.view(func(tx *bbolt.Tx) (err error) {
		c, err = ReadContent(func(bucket string, fn func(k, v []byte) error) error {
			return tx.Bucket([]byte(bucket)).ForEach(func(k, v []byte) error {
				v, err := unseal(bucket, k, v)
				if err == nil {
					err = fn(k, v)
				}
				if err != nil {
					return fmt.Errorf("cannot read record %q of %s: %w", k, bucket, err)
				}
				return nil
			})
		})
		log := tx.Bucket([]byte(record.BucketLog))
		c.LogSize = log.Stats().KeyN
		if k, _ := log.Cursor().Last(); len(k) == 8 {
			c.NextSeq = binary.BigEndian.Uint64(k) + 1
		}
		return err
	})
	return c, err
}

// ReadContent parses the records that each passes to its function: those of one bucket at a
// time, in the order of their keys. The arguments must stay valid until ReadContent returns. It
// does not read the log: LogSize stays 0, and NextSeq 1.
func ReadContent(each func(bucket string, fn func(key, value []byte) error) error) (record.Content, error) {
	c := record.Content{Retired: map[record.Digest]record.Retirement{}, Meta: map[string][]byte{}, NextSeq: 1}
	err := errors.Join(
		readMany(each, record.BucketLists, &c.Lists, func(l *record.List, k []byte) { l.Name = string(k) }),
		readMany(each, record.BucketLines, &c.Lines, func(l *record.Line, k []byte) { l.Name, l.Arch = record.SplitLineKey(k) }),
		each(record.BucketRetired, func(k, v []byte) error {
			r, err := readRetirement(k, v)
			c.Retired[r.Body] = r
			return err
		}),
		each(record.BucketKeys, func(k, v []byte) error {
			key := record.Key{Fingerprint: string(k)}
			err := json.Unmarshal(v, &key)
			c.Keys = append(c.Keys, key)
			return err
		}),
		each(record.BucketAside, func(k, v []byte) error {
			a := record.Aside{Name: string(k)}
			err := json.Unmarshal(v, &a)
			c.Asides = append(c.Asides, a)
			return err
		}),
		each(record.BucketDenied, func(k, v []byte) error { return loadDenial(&c, k, v) }),
		each(record.BucketOwn, func(k, v []byte) error {
			o := record.Own{Name: string(k)}
			err := json.Unmarshal(v, &o)
			c.Own = append(c.Own, o)
			return err
		}),
		each(record.BucketOrigins, func(k, v []byte) error {
			o := record.Origin{Name: string(k)}
			err := json.Unmarshal(v, &o)
			c.Origins = append(c.Origins, o)
			return err
		}),
		each(record.BucketAdvised, func(k, v []byte) error {
			var floors []record.AdvisedFloor
			err := json.Unmarshal(v, &floors)
			for _, f := range floors {
				f.Origin, f.Name = record.SplitAdvisedKey(k)
				c.Advised = append(c.Advised, f)
			}
			return err
		}),
		each(record.BucketMeta, func(k, v []byte) error {
			c.Meta[string(k)] = append([]byte(nil), v...)
			return nil
		}),
		each(record.BucketPending, func(k, v []byte) error {
			if len(v) != 8 {
				return errors.New("it is no number")
			}
			if c.Taken == nil {
				c.Taken = map[string]uint64{}
			}
			c.Taken[string(k)] = binary.BigEndian.Uint64(v)
			return nil
		}),
	)
	return c, err
}

// readMany parses the records of a bucket with one record per package, on all processors. named
// sets the fields of a record that come from its key.
func readMany[T any](each func(bucket string, fn func(key, value []byte) error) error, bucket string, records *[]T, named func(r *T, key []byte)) error {
	const part = 64
	var keys, values [][]byte
	err := each(bucket, func(k, v []byte) error {
		keys, values = append(keys, k), append(values, v)
		return nil
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	*records = make([]T, len(keys))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(keys); from += part {
		group.Go(func() error {
			for i := from; i < min(from+part, len(keys)); i++ {
				r := &(*records)[i]
				named(r, keys[i])
				if err := json.Unmarshal(values[i], r); err != nil {
					return fmt.Errorf("cannot read record %q of %s: %w", keys[i], bucket, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// lockState locks the state directory for this process.
func lockState(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := durable.Lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
