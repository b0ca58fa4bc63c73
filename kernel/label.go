// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

// LabelName is the extended attribute by which a file names the list in which the kernel looks
// it up (Integrity Digest Cache, digest_cache/main.c).
const LabelName = "security.digest_list"

// maxLabel is the largest length of a label, which is a file name.
const maxLabel = 255

// ErrNotRegular means that a path leads to something that can have no label.
var ErrNotRegular = errors.New("not a regular file")

// Root is a directory tree that is treated as if it were /.
type Root struct {
	path string
	dir  *os.File
}

// OpenRoot opens the tree below path.
func OpenRoot(path string) (*Root, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_PATH, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open root: %w", err)
	}
	return &Root{path, dir}, nil
}

// Close releases the tree.
func (r *Root) Close() error { return r.dir.Close() }

// Path returns the path by which the root was opened.
func (r *Root) Path() string { return r.path }

// ID returns the device and inode of the root directory.
func (r *Root) ID() (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(r.dir.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("cannot stat %s: %w", r.path, err)
	}
	return st.Dev, st.Ino, nil
}

// File is a regular file inside a Root. Only [Dir.Open] opens it for reading.
type File struct {
	fd       int
	readable bool // fd can be read; otherwise it is O_PATH
	Stat     unix.Stat_t
}

// Find looks path up inside the root. It follows a link as the last component only if follow is
// set. The error is fs.ErrNotExist (as unix.ENOENT), or [ErrNotRegular] for something that can
// have no label.
func (r *Root) Find(path string, follow bool) (*File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	fd, err := openat2(int(r.dir.Fd()), path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return newFile(fd, path)
}

// FindExact is Find for a path that was recorded with all links resolved. If there is a link on
// the way now, somebody has replaced a directory, and the error is unix.ELOOP.
func (r *Root) FindExact(path string) (*File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	fd, err := openat2(int(r.dir.Fd()), path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return newFile(fd, path)
}

// Close releases the file.
func (f *File) Close() error { return unix.Close(f.fd) }

// proc returns a path to exactly this file, even if it is renamed: an O_PATH descriptor does not
// permit fgetxattr.
func (f *File) proc() string { return openFile(f.fd) }

// Path returns the path of the file, links resolved, as seen from outside the root.
func (f *File) Path() (string, error) { return os.Readlink(f.proc()) }

// Open opens the file for reading.
func (f *File) Open() (io.ReadCloser, error) {
	path := f.proc()
	fd, err := openToRead(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Digests reads the file once, at most so many bytes, and returns its digests by those of the
// algorithms that have a hash; see [digestlist.Algo.Hash].
func (f *File) Digests(most int64, algos ...digestlist.Algo) (map[digestlist.Algo][]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	hashes := make(map[digestlist.Algo]hash.Hash, len(algos))
	var all []io.Writer
	for _, algo := range algos {
		if algo.Hash() != 0 && hashes[algo] == nil {
			hashes[algo] = algo.Hash().New()
			all = append(all, hashes[algo])
		}
	}
	if _, err := io.Copy(io.MultiWriter(all...), io.LimitReader(r, most)); err != nil {
		return nil, err
	}
	sums := make(map[digestlist.Algo][]byte, len(hashes))
	for algo, h := range hashes {
		sums[algo] = h.Sum(nil)
	}
	return sums, nil
}

// FileSystem returns the magic number of the file system with the file (statfs(2), f_type).
func (f *File) FileSystem() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(f.fd, &st); err != nil {
		return 0, fmt.Errorf("cannot tell the file system: %w", err)
	}
	return int64(st.Type), nil
}

// Label returns the name of the list to which the file is bound, "" for none.
func (f *File) Label() (string, error) {
	var buf [maxLabel + 1]byte
	var n int
	var err error
	if f.readable {
		n, err = unix.Fgetxattr(f.fd, LabelName, buf[:])
	} else {
		n, err = unix.Getxattr(f.proc(), LabelName, buf[:])
	}
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("cannot read label: %w", err)
	}
	// Plugins of rpm from other projects write the terminating NUL, tools do not.
	return string(bytes.TrimRight(buf[:n], "\x00")), nil
}

// SetLabel binds the file to the list of that name. The kernel then forgets its cache for the
// file, even if the label is the same.
func (f *File) SetLabel(list string) error {
	if list == "" || len(list) > maxLabel || strings.ContainsAny(list, "/\x00") {
		return fmt.Errorf("cannot label: %q is no list name", list)
	}
	if err := unix.Setxattr(f.proc(), LabelName, []byte(list), 0); err != nil {
		return fmt.Errorf("cannot label: %w", err)
	}
	return nil
}

// RenewLabel binds the file again to the list to which it is bound, so that the kernel forgets
// its cache for the file. The file is never without a label meanwhile. Some file systems (ext4)
// store nothing if the value is the same, and then nothing shows the renewal: so RenewLabel
// first writes the value with a terminating NUL, which is not part of the name. That needs one
// more byte; if there is no room for it, the label is only set.
func (f *File) RenewLabel(list string) error {
	if len(list) < maxLabel {
		unix.Setxattr(f.proc(), LabelName, append([]byte(list), 0), 0)
	}
	return f.SetLabel(list)
}

// RemoveLabel unbinds the file. A file without a label is no error.
func (f *File) RemoveLabel() error {
	err := unix.Removexattr(f.proc(), LabelName)
	if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("cannot remove label: %w", err)
	}
	return nil
}
