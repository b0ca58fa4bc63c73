// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kinds of database, as DB.Kind returns them.
const (
	KindSQLite = "sqlite"
	KindNDB    = "ndb"
)

const (
	sqliteFile = "rpmdb.sqlite"
	ndbFile    = "Packages.db"
	bdbFile    = "Packages"
)

// ErrNoDatabase means that a directory or a root has no rpm database.
var ErrNoDatabase = errors.New("no rpm database")

// ErrBerkeleyDB means that the database has the form of rpm before 4.16, which this package does
// not read. The remedy depends on the rpm of the machine.
var ErrBerkeleyDB = errors.New("it is a Berkeley DB, which digestd does not read")

// Locate returns the directory of rpm's database below root ("/" for the running system). It
// looks where distributions put it, and does not find a directory that only the macro _dbpath
// names. It refuses a symbolic link out of root, because a chroot would follow it to another
// place.
func Locate(root string) (dir string, err error) {
	realRoot, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", fmt.Errorf("cannot locate the rpm database: %w", err)
	}
	for _, d := range []string{"usr/lib/sysimage/rpm", "var/lib/rpm"} {
		dir := filepath.Join(root, d)
		real, err := filepath.EvalSymlinks(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot locate the rpm database: %w", err)
		}
		if !strings.HasPrefix(real, strings.TrimSuffix(realRoot, "/")+"/") {
			return "", fmt.Errorf("cannot locate the rpm database: %s leads out of %s", dir, root)
		}
		if _, err := kindOf(dir); err == nil {
			return dir, nil
		} else if !errors.Is(err, ErrNoDatabase) {
			return "", err
		}
	}
	return "", fmt.Errorf("cannot locate the rpm database below %s: %w", root, ErrNoDatabase)
}

// regularLogs refuses files beside the database for which sqlite would wait, or whose opening
// has effects.
func regularLogs(dir string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		path := filepath.Join(dir, sqliteFile+suffix)
		if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
			return fmt.Errorf("cannot open the rpm database: %s is not a regular file", path)
		}
	}
	return nil
}

func kindOf(dir string) (string, error) {
	for _, k := range []struct{ file, kind string }{
		{sqliteFile, KindSQLite},
		{ndbFile, KindNDB},
	} {
		fi, err := os.Stat(filepath.Join(dir, k.file))
		switch {
		case err == nil && fi.Mode().IsRegular():
			return k.kind, regularLogs(dir)
		case err == nil:
			return "", fmt.Errorf("cannot open the rpm database: %s is not a regular file", filepath.Join(dir, k.file))
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("cannot open the rpm database: %w", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, bdbFile)); err == nil {
		return "", fmt.Errorf("cannot open the rpm database in %s: %w", dir, ErrBerkeleyDB)
	}
	return "", fmt.Errorf("cannot open the rpm database in %s: %w", dir, ErrNoDatabase)
}
