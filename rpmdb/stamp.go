// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Stamp identifies a state of the database's files. Two equal stamps of one database mean that
// nothing was written between them, except within one tick of the kernel's file clock (some
// milliseconds). Different stamps do not prove that the content differs.
type Stamp struct {
	main, log fileStamp
}

type fileStamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

// Stamp examines the database's files without opening them.
func (db *DB) Stamp() (Stamp, error) {
	var s Stamp
	var err error
	if db.kind == KindNDB {
		s.main, err = stampOf(filepath.Join(db.dir, ndbFile))
	} else {
		s, err = stampSQLite(filepath.Join(db.dir, sqliteFile))
	}
	if err != nil {
		return Stamp{}, fmt.Errorf("cannot stat the rpm database: %w", err)
	}
	return s, nil
}

// stampSQLite treats an empty log like a missing one, because any reader may create it.
func stampSQLite(path string) (s Stamp, err error) {
	if s.main, err = stampOf(path); err != nil {
		return s, err
	}
	s.log, err = stampOf(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.log.size == 0 {
		s.log, err = fileStamp{}, nil
	}
	return s, err
}

func stampOf(path string) (fileStamp, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileStamp{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return fileStamp{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}, nil
}

// StampOf returns the stamp of the nth state of a database that is not in files.
func StampOf(n uint64) Stamp { return Stamp{main: fileStamp{ino: n}} }
