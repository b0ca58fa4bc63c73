// SPDX-License-Identifier: Apache-2.0

// Package durable writes files that survive a power cut completely or not at all. It also makes
// the entries of a directory durable, checks whether a path still leads to the same file, and
// locks a file or directory for one process.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLocked means that another process holds the state or the list directory.
var ErrLocked = errors.New("another digestd is using it")

// WriteFile replaces path by a file with that content and mode, regardless of the umask. A crash
// leaves the old or the new file, complete.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	tmp := path + ".new"
	write := func(to io.Writer) error {
		_, err := to.Write(data)
		return err
	}
	if err := Create(tmp, mode, write); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// Create writes a file and syncs its content. On an error it leaves no file. The directory entry
// is not durable yet.
func Create(path string, mode fs.FileMode, write func(to io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	if err = f.Chmod(mode); err == nil {
		err = write(f)
	}
	if err == nil {
		err = unix.Fdatasync(int(f.Fd()))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// SyncDir makes the entries of a directory durable.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", path, err)
	}
	return nil
}

// Inode identifies a file or directory while it exists.
type Inode struct{ Dev, Ino uint64 }

// Identify returns the inode of an open file.
func Identify(f *os.File) (Inode, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Inode{}, fmt.Errorf("cannot stat %s: %w", f.Name(), err)
	}
	return Inode{st.Dev, st.Ino}, nil
}

// IdentifyPath returns the inode that path leads to; of a symbolic link, that of the link.
// Errors are [*fs.PathError].
func IdentifyPath(path string) (Inode, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Inode{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return Inode{st.Dev, st.Ino}, nil
}

// Lock locks a file or directory for this process until it is closed. It does not wait: the
// error is [ErrLocked] if another process has the lock.
func Lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return fmt.Errorf("cannot lock %s: %w", f.Name(), err)
	}
	return nil
}
