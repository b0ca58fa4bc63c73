// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is an open directory inside a Root.
type Dir struct {
	f    *os.File
	Stat unix.Stat_t
}

// OpenDir opens a directory of the tree. It follows links inside the root.
func (r *Root) OpenDir(path string) (*Dir, error) {
	return openDir(int(r.dir.Fd()), path, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS, 0)
}

// Child opens a directory in d. It does not follow a link.
func (d *Dir) Child(name string) (*Dir, error) {
	return openDir(int(d.f.Fd()), name, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS, unix.O_NOFOLLOW)
}

func openDir(at int, path string, resolve, flags uint64) (*Dir, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | flags, Resolve: resolve}
	fd, err := openat2(at, path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	// By this name the runtime finds the type of an entry if the directory does not tell, even
	// if the path changes meanwhile.
	d := &Dir{f: os.NewFile(uintptr(fd), openFile(fd))}
	if err := unix.Fstat(fd, &d.Stat); err != nil {
		d.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return d, nil
}

// openat2 repeats the call if a rename elsewhere interfered, as the kernel requires (openat2(2),
// EAGAIN).
func openat2(at int, path string, how *unix.OpenHow) (fd int, err error) {
	for range 64 {
		fd, err = unix.Openat2(at, path, how)
		if err != unix.EAGAIN && err != unix.EINTR {
			break
		}
	}
	return fd, err
}

// Close releases the directory.
func (d *Dir) Close() error { return d.f.Close() }

// Path returns the path of the directory, as seen from outside the root.
func (d *Dir) Path() (string, error) {
	return os.Readlink(openFile(int(d.f.Fd())))
}

// FileSystem returns the magic number of the file system with d (statfs(2), f_type).
func (d *Dir) FileSystem() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("cannot tell the file system: %w", err)
	}
	return int64(st.Type), nil
}

// Each calls fn with the name and kind of each entry, in no order, and keeps only a few of them
// in memory.
func (d *Dir) Each(fn func(name string, kind fs.FileMode) error) error {
	const few = 512
	for {
		entries, err := d.f.ReadDir(few)
		for _, e := range entries {
			if err := fn(e.Name(), e.Type()); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Find looks a regular file up in d, as [Root.Find] does.
func (d *Dir) Find(name string) (*File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := openat2(int(d.f.Fd()), name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return newFile(fd, name)
}

// openToRead opens a file for reading without blocking. It does not change the time of the last
// access, if the kernel permits that (open(2), O_NOATIME).
func openToRead(at int, name string, flags int) (fd int, err error) {
	flags |= unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err = unix.Openat(at, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(at, name, flags, 0)
	}
	return fd, err
}

// Open is like Find, but opens the file for reading, which saves several system calls. It checks
// the type before it opens, because opening a device can have effects. Besides the errors of
// Find, the file may be unreadable.
func (d *Dir) Open(name string) (*File, error) {
	fd := int(d.f.Fd())
	var st unix.Stat_t
	err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err != nil:
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFREG || strings.ContainsRune(name, '/'):
		return nil, fmt.Errorf("%s: %w", name, ErrNotRegular)
	}
	if fd, err = openToRead(fd, name, unix.O_NOFOLLOW); err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := newFile(fd, name)
	if err == nil {
		f.readable = true
	}
	return f, err
}

// newFile makes a File that owns the descriptor.
func newFile(fd int, path string) (*File, error) {
	f := &File{fd: fd}
	if err := unix.Fstat(fd, &f.Stat); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if f.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	return f, nil
}

// RealDir returns a directory's path with all links resolved, as seen from inside the root.
func (r *Root) RealDir(path string) (string, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := openat2(int(r.dir.Fd()), path, &how)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	real, err := os.Readlink(openFile(fd))
	if err != nil {
		return "", err
	}
	return r.Inside(real)
}

// HasDir reports whether path is a directory and not a link. The caller must know that its
// parent is a real path: links in the parent would be followed anywhere.
func (r *Root) HasDir(path string) bool {
	var st unix.Stat_t
	rel := strings.TrimPrefix(path, "/")
	return rel != "" && unix.Fstatat(int(r.dir.Fd()), rel, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// Inside converts a path as seen from outside, links resolved, into a path below the root.
func (r *Root) Inside(real string) (string, error) {
	top, err := os.Readlink(openFile(int(r.dir.Fd())))
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(real, strings.TrimSuffix(top, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return "", fmt.Errorf("%s is not below %s", real, top)
	}
	if rest == "" {
		return "/", nil
	}
	return rest, nil
}

// Content calls fn with the file's content, in pieces that are parts of buf. It reads no further
// than the size in f.Stat, unless that is zero.
func (f *File) Content(buf []byte, fn func(piece []byte) error) error {
	fd := f.fd
	if !f.readable {
		var err error
		if fd, err = openToRead(unix.AT_FDCWD, f.proc(), 0); err != nil {
			return &os.PathError{Op: "open", Path: f.proc(), Err: err}
		}
		defer unix.Close(fd)
	}
	for at := int64(0); at == 0 || at != f.Stat.Size; {
		n, err := unix.Pread(fd, buf, at)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("cannot read: %w", err)
		case n == 0:
			return nil
		}
		at += int64(n)
		if err := fn(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// Restat returns the current status of the file.
func (f *File) Restat() (st unix.Stat_t, err error) {
	err = unix.Fstat(f.fd, &st)
	return st, err
}
