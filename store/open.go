// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/pages"
	"github.com/digestd/digestd/store/record"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// Fate is what Open found.
type Fate uint8

// The fates of an index.
const (
	Intact     Fate = iota
	Fresh           // there never was one
	Repaired        // one commit was missing and was entered again
	RolledBack      // more than one commit is missing
	Missing         // the database is missing, the commit file is not
	Damaged         // the database cannot be read
)

// Recovery is the result of Open, for the caller to act on and report.
type Recovery struct {
	Fate  Fate
	Lost  uint64 // number of commits that are known to be missing
	Aside string // name of the unusable database, or of a copy of a rolled-back one
	Cause error  // why it was unusable
}

// Rebuild reports whether the counters must be restored from what is installed.
func (r Recovery) Rebuild() bool { return r.Fate >= RolledBack }

// ErrUnavailable means that the index cannot be opened now: another program has a lock on it, or
// the system lacks descriptors, memory, permission or an answer from the disk. It says nothing
// about the content of the index, so Open changed nothing, and another attempt may succeed.
var ErrUnavailable = errors.New("the index cannot be opened now")

// Open opens the index in the state directory dir, and creates both if they are missing. It sets
// a damaged index aside and begins a new one. So it fails only if continuing would be wrong:
// [durable.ErrLocked], [ErrSchema] and [ErrUnavailable].
func Open(dir string) (*Index, Recovery, error) {
	ix, rec, err := open(dir)
	if err != nil && !errors.Is(err, durable.ErrLocked) && !errors.Is(err, ErrSchema) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ix, rec, err
}

func open(dir string) (*Index, Recovery, error) {
	// The parent directories do not belong to digestd alone.
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		var info fs.FileInfo
		if info, err = os.Stat(dir); err == nil && !info.IsDir() {
			err = &os.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
	}
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("cannot create the state directory: %w", err)
	}
	lock, err := lockState(dir)
	if err != nil {
		return nil, Recovery{}, err
	}
	ix, rec, err := openLocked(dir)
	if err != nil {
		lock.Close()
		return nil, rec, err
	}
	ix.lock = lock
	ix.reserve.path = filepath.Join(dir, reserveFile)
	ix.reserve.keep()
	if ix.file, err = durable.IdentifyPath(filepath.Join(dir, indexFile)); err != nil {
		return nil, rec, errors.Join(err, ix.Close())
	}
	return ix, rec, nil
}

func openLocked(dir string) (*Index, Recovery, error) {
	var rec Recovery
	path := filepath.Join(dir, indexFile)
	ix := &Index{dir: dir, journal: filepath.Join(dir, journalFile)}

	last, err := readJournal(ix.journal)
	haveJournal := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errJournal) {
		return nil, rec, err
	}

	_, statErr := os.Lstat(path)
	switch {
	case statErr == nil:
		ix.db, err = openChecked(path)
		if errors.Is(err, ErrSchema) {
			return nil, rec, fmt.Errorf("cannot open %s: %w", path, err)
		}
		if err != nil && !errors.Is(err, errDamaged) {
			return nil, rec, fmt.Errorf("cannot open %s: %w", path, err)
		}
		if err != nil {
			rec = Recovery{Fate: Damaged, Cause: err}
			if rec.Aside, err = setAside(path, os.Rename); err != nil {
				return nil, rec, err
			}
		}
	case errors.Is(statErr, fs.ErrNotExist) && (haveJournal || hasAside(path)):
		rec.Fate = Missing
	case errors.Is(statErr, fs.ErrNotExist):
		rec.Fate = Fresh
	default:
		return nil, rec, statErr
	}

	if ix.db == nil {
		if ix.db, err = create(path, nil); err != nil {
			return nil, rec, err
		}
		// The numbers go on where the lost database stopped: a counter never falls.
		ix.commit, ix.counter = last.commit, last.counter
		rec.Lost = last.commit
		return ix, rec, nil
	}
	if err = upgrade(ix.db); err == nil {
		err = ix.readMeta()
	}
	if err != nil {
		return nil, rec, errors.Join(err, ix.db.Close())
	}
	switch {
	case !haveJournal || last.commit <= ix.commit:
	case last.commit == ix.commit+1:
		rec = Recovery{Fate: Repaired, Lost: 1}
		err = ix.apply(last)
	default:
		rec = Recovery{Fate: RolledBack, Lost: last.commit - ix.commit - 1}
		if rec.Aside, err = setAside(path, copyFile); err == nil {
			err = ix.apply(last)
		}
	}
	if err != nil {
		return nil, rec, errors.Join(err, ix.db.Close())
	}
	return ix, rec, nil
}

// mapRoom is how many bytes of address space an index gets at once. Where that is not enough,
// bbolt maps the file again while it commits, and copies first what it has in hand.
const mapRoom = 64 << 20

var boltOptions = bbolt.Options{Timeout: 2 * time.Second, FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapRoom}

// openBolt opens a database, or makes one.
func openBolt(path string) (*bbolt.DB, error) {
	opts := boltOptions
	db, err := bbolt.Open(path, 0o600, &opts)
	if err == nil {
		db.AllocSize = 0 // else the file would be as large as the mapping; see growBy
	}
	return db, err
}

// growBy has the file grow by half if the transaction needs more of it, so that it seldom does:
// each time costs a sync. What is not written yet is a hole.
func growBy(tx *bbolt.Tx) { tx.DB().AllocSize = int(tx.Size() / 2) }

// errDamaged means that the database was read completely and differs from what was written.
var errDamaged = errors.New("database is damaged")

// openChecked opens an existing database and verifies that all of it can be read. The error is
// errDamaged only if every byte could be read: a lock, a lack of descriptors or a disk that does
// not answer proves nothing.
func openChecked(path string) (*bbolt.DB, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", errDamaged)
	}
	db, err := openMapped(path, info.Size())
	if err == nil || errors.Is(err, ErrSchema) || errors.Is(err, berrors.ErrTimeout) {
		return db, err
	}
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return nil, err
	}
	// In a mapping, a page that the disk cannot read looks like a damaged one.
	if rerr := readThrough(path); rerr != nil {
		return nil, rerr
	}
	if errors.Is(err, errDamaged) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", errDamaged, err)
}

// openMapped opens the database and checks it. bbolt maps the file: damage can cause a fault or
// a panic, which openMapped returns as an error.
func openMapped(path string, size int64) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			// A database in this condition cannot be closed safely; its file is
			// about to be set aside, and the mapping ends with the process.
			db, err = nil, fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	// bbolt would silently initialise an empty file as a new database.
	if size < int64(4*os.Getpagesize()) {
		return nil, fmt.Errorf("%w: it is truncated to %d bytes", errDamaged, size)
	}
	db, err = openBolt(path)
	if err != nil {
		return nil, err
	}
	if err := check(db, size); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// readThrough reads a file to its end.
func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// hasAside reports whether a database was ever set aside: then there was one.
func hasAside(path string) bool {
	old, err := filepath.Glob(path + ".aside-*")
	return err == nil && len(old) > 0
}

func check(db *bbolt.DB, size int64) error {
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("database is truncated: %d of %d bytes are left", size, tx.Size())
		}
		if err := pages.Check(tx); err != nil {
			return err
		}
		if tx.Bucket([]byte(record.BucketMeta)) == nil {
			return fmt.Errorf("bucket %s is missing", record.BucketMeta)
		}
		schema := number(tx, metaSchema)
		for _, name := range record.Buckets {
			bucket := tx.Bucket([]byte(name))
			if bucket == nil && 0 < schema && schema < Schema {
				continue // upgrade adds it
			}
			if bucket == nil {
				return fmt.Errorf("bucket %s is missing", name)
			}
			// Touch every page in this goroutine, which recovers from a fault; bbolt's Check
			// uses a goroutine of its own, where a fault would end the process.
			err := bucket.ForEach(func(k, v []byte) error {
				if _, err := unseal(name, k, v); err != nil {
					return fmt.Errorf("record %q of %s is damaged: %w", k, name, err)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = fmt.Errorf("database is damaged: %w", err)
			}
		}
		if first != nil {
			return first
		}
		switch {
		case schema == 0:
			return errors.New("schema is missing")
		case schema > Schema:
			return fmt.Errorf("%w (schema %d, this one knows %d)", ErrSchema, schema, Schema)
		}
		return nil
	})
}

// create makes a database under a temporary name: a crash that left it without its buckets would
// otherwise make it look damaged. fill may add records.
func create(path string, fill func(*bbolt.Tx) error) (*bbolt.DB, error) {
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot create %s: %w", path, err)
	}
	db, err := openBolt(unfinished)
	if err != nil {
		return nil, fmt.Errorf("cannot create %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range record.Buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		if fill != nil {
			return fill(tx)
		}
		return putNumber(tx, metaSchema, Schema)
	})
	if err == nil {
		err = os.Rename(unfinished, path)
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot create %s: %w", path, err), db.Close())
	}
	return db, nil
}

func (ix *Index) readMeta() error {
	return ix.db.View(func(tx *bbolt.Tx) error {
		ix.commit, ix.counter = number(tx, metaCommit), number(tx, metaCounter)
		return nil
	})
}

// upgrade converts an index of an older schema to this one, durably and before anything of this
// schema is written, so that an older digestd refuses it from then on. Records of older schemas
// are valid as they are; see [List.Rules].
func upgrade(db *bbolt.DB) error {
	var schema uint64
	err := db.View(func(tx *bbolt.Tx) error {
		schema = number(tx, metaSchema)
		return nil
	})
	if err != nil || schema == Schema {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range record.Buckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return putNumber(tx, metaSchema, Schema)
	})
	if err != nil {
		return fmt.Errorf("cannot upgrade the index from schema %d to %d: %w", schema, Schema, err)
	}
	return nil
}

// setAside moves or copies the database to an unused name.
func setAside(path string, move func(from, to string) error) (string, error) {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	for n := range 100 {
		aside := fmt.Sprintf("%s.aside-%s-%d", path, stamp, n)
		if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := move(path, aside); err != nil {
			return "", fmt.Errorf("cannot keep the old index aside: %w", err)
		}
		return aside, nil
	}
	return "", fmt.Errorf("cannot keep %s aside: no free name", path)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
