// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/record"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// ErrStateReplaced means that the state directory does not contain this index any more: further
// writes would be lost when the process ends.
var ErrStateReplaced = errors.New("state directory was replaced")

// Settle checks that the index is still where it was opened; [Index.Commit] calls it before it
// writes. If the directory is new and has no other index, Settle writes the whole index there,
// durably. Otherwise the error is [ErrStateReplaced], and a later call may find the directory
// again.
func (ix *Index) Settle() error {
	err := ix.inPlace()
	if err == nil {
		return nil
	}
	if rerr := ix.restore(); rerr != nil {
		return fmt.Errorf("%w: %w", err, rerr)
	}
	ix.restored = true
	return nil
}

// Restored reports whether Settle has written the index again since it was opened. The other
// files of the state directory may then be missing, too.
func (ix *Index) Restored() bool { return ix.restored }

// inPlace compares the files at the path with the open ones.
func (ix *Index) inPlace() error {
	path := filepath.Join(ix.dir, indexFile)
	switch file, err := durable.IdentifyPath(path); {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrStateReplaced, err)
	case file != ix.file:
		return fmt.Errorf("%w: %s is another file", ErrStateReplaced, path)
	}
	if !ix.lockInPlace() {
		return fmt.Errorf("%w: %s is another file", ErrStateReplaced, ix.lock.Name())
	}
	return nil
}

func (ix *Index) lockInPlace() bool {
	held, err := durable.Identify(ix.lock)
	if err != nil {
		return false
	}
	there, err := durable.IdentifyPath(ix.lock.Name())
	return err == nil && there == held
}

// restore locks the directory to which the path leads now, and writes the index there. It does
// not create a missing directory: it may have been moved, and come back.
func (ix *Index) restore() error {
	var st unix.Stat_t
	if err := unix.Lstat(ix.dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: ix.dir, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
		return fmt.Errorf("cannot use %s: others may write to it (owner %d, mode %o)", ix.dir, st.Uid, st.Mode)
	}
	lock := ix.lock
	if !ix.lockInPlace() {
		var err error
		if lock, err = lockState(ix.dir); err != nil {
			return err
		}
	}
	err := ix.rewrite()
	if lock != ix.lock {
		if err != nil {
			lock.Close()
		} else {
			ix.lock.Close()
			ix.lock = lock
		}
	}
	return err
}

// rewrite writes the database and the commit file where they are missing.
func (ix *Index) rewrite() error {
	path := filepath.Join(ix.dir, indexFile)
	file, err := durable.IdentifyPath(path)
	switch {
	case err == nil && file == ix.file:
		return nil // only the lock was missing
	case err == nil:
		return fmt.Errorf("another index lies in %s", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	last := ix.waiting
	if len(last.changes) == 0 {
		last = journal{commit: ix.commit, counter: ix.counter}
	}
	ix.reserve.whole = false
	// The commit file comes first: without a database beside it, it shows that one is missing.
	if err := writeJournal(ix.journal, last); err != nil {
		return err
	}
	db, err := create(path, func(to *bbolt.Tx) error {
		return ix.db.View(func(from *bbolt.Tx) error { return copyRecords(to, from) })
	})
	if err != nil {
		return err
	}
	if file, err = durable.IdentifyPath(path); err != nil {
		return errors.Join(err, db.Close())
	}
	ix.mu.Lock()
	old := ix.db
	ix.db, ix.file = db, file
	ix.mu.Unlock()
	return old.Close()
}

func copyRecords(to, from *bbolt.Tx) error {
	for _, name := range record.Buckets {
		bucket := to.Bucket([]byte(name))
		bucket.FillPercent = 0.9 // the records come in the order of keys

		if err := from.Bucket([]byte(name)).ForEach(bucket.Put); err != nil {
			return err
		}
	}
	return nil
}
