// SPDX-License-Identifier: Apache-2.0

package listdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/digestd/digestd/store/durable"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// MaxSize bounds a list that is read, in bytes: twice what the largest package header can
// describe.
const MaxSize = 512 << 20

// pokeName has no '-', so the kernel's scan does not take it for a list.
const pokeName = ".poke"

// ErrReplaced means that the list directory's path no longer leads to the
// directory that was opened.
var ErrReplaced = errors.New("list directory was replaced")

// listDirMode is the mode of the list directory: the kernel looks lists up with the rights of
// the process that opens a file.
const listDirMode = 0o755

// Dir is the list directory, with its staging and quarantine directories beside it on the same
// file system. All operations use descriptors that were opened once, so replacing the path by a
// link redirects nothing.
type Dir struct {
	path       string
	dir        *os.File
	staging    atomic.Pointer[os.File] // made again if it was removed
	quarantine *os.File
	id         durable.Inode
	serial     uint64
	remaking   sync.Mutex
	changes    atomic.Uint64 // number of changes to the directory
	synced     atomic.Uint64 // number of these that are durable
	inherited  inherited
	held       holds
}

// Open opens the list directory and creates what is missing: path with mode 0755, path.staging
// and path.quarantine with mode 0700, regardless of the umask. It adds missing rights to a list
// directory that exists. The last component of path must not be a symbolic link, because the
// kernel does not follow one either.
//
// Open locks the list directory until Close. If another process has locked it, by whatever path,
// the error is [durable.ErrLocked].
func Open(path string) (*Dir, error) {
	path = filepath.Clean(path)
	d := &Dir{path: path}
	d.changes.Store(inheritedChanges)
	d.held.init()
	var err error
	if d.dir, err = openSubdir(path, listDirMode); err == nil {
		err = durable.Lock(d.dir)
	}
	if err == nil {
		d.id, err = durable.Identify(d.dir)
	}
	var staging *os.File
	if err == nil {
		staging, err = d.openStaging()
	}
	if err == nil {
		d.staging.Store(staging)
		d.quarantine, err = openSubdir(d.QuarantinePath(), 0o700)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	d.inherited.begin(d)
	d.held.begin(d.dirFd())
	return d, nil
}

func (d *Dir) openStaging() (*os.File, error) {
	f, err := openSubdir(d.stagingPath(), 0o700)
	if err != nil {
		return nil, err
	}
	id, err := durable.Identify(f)
	if err == nil && id.Dev != d.id.Dev {
		err = fmt.Errorf("cannot use %s: it lies on another file system than %s", f.Name(), d.path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// remakeStaging makes the staging directory again if it was removed: no file can be created in a
// removed directory or renamed into it. The old descriptor stays open, because another goroutine
// may be using it.
func (d *Dir) remakeStaging() error {
	d.remaking.Lock()
	defer d.remaking.Unlock()
	var st unix.Stat_t
	if err := unix.Fstat(d.stagingFd(), &st); err != nil || st.Nlink > 0 {
		return err
	}
	f, err := d.openStaging()
	if err != nil {
		return err
	}
	d.staging.Store(f)
	return nil
}

func openSubdir(path string, mode uint32) (*os.File, error) {
	if err := unix.Mkdir(path, mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("cannot create %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("cannot open %s: not a directory (a link is not followed, by the kernel neither)", path)
		}
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && (st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0) {
		err = fmt.Errorf("cannot use %s: others may write to it (owner %d, mode %04o)", path, st.Uid, st.Mode&0o7777)
	}
	// Mkdir obeys the umask, and so may an earlier start have. If the mode cannot be changed,
	// digestd still keeps the lists in step.
	if has := st.Mode & 0o7777; err == nil && has&mode != mode {
		unix.Fchmod(fd, has|mode)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Close closes the directories and the descriptors of lists.
func (d *Dir) Close() error {
	d.inherited.group.Wait()
	d.held.close()
	var err error
	for _, f := range []*os.File{d.dir, d.staging.Load(), d.quarantine} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// Path returns the path by which the directory was opened.
func (d *Dir) Path() string { return d.path }

// QuarantinePath returns the path of the quarantine directory.
func (d *Dir) QuarantinePath() string { return d.path + ".quarantine" }

// CheckPath returns [ErrReplaced] if the path no longer leads to this directory: then the kernel
// reads lists that digestd did not write.
func (d *Dir) CheckPath() error {
	var st unix.Stat_t
	if err := unix.Lstat(d.path, &st); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrReplaced, d.path, err)
	}
	if (durable.Inode{Dev: st.Dev, Ino: st.Ino}) != d.id {
		return fmt.Errorf("%w: %s", ErrReplaced, d.path)
	}
	return nil
}

// Sweep empties the staging directory and returns how many files a crash had left there.
func (d *Dir) Sweep() (n int, err error) {
	names, err := readNames(d.staging.Load())
	for _, name := range names {
		uerr := unix.Unlinkat(d.stagingFd(), name, 0)
		if errors.Is(uerr, unix.EISDIR) {
			uerr = os.RemoveAll(filepath.Join(d.stagingPath(), name))
		}
		if uerr != nil {
			err = errors.Join(err, fmt.Errorf("cannot sweep %s from %s: %w", name, d.stagingPath(), uerr))
			continue
		}
		n++
	}
	return n, err
}

func readNames(f *os.File) ([]string, error) {
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	return f.Readdirnames(-1)
}

// Names returns the names of all entries of the list directory, of every kind.
func (d *Dir) Names() ([]string, error) {
	names, err := readNames(d.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", d.path, err)
	}
	for i, name := range names {
		if name == pokeName {
			return append(names[:i], names[i+1:]...), nil
		}
	}
	return names, nil
}

// Stat returns the stamp of a list; the error is fs.ErrNotExist if there is none.
func (d *Dir) Stat(name string) (record.Stamp, error) { return stampIn(d.dir, name) }

func stampIn(dir *os.File, name string) (record.Stamp, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return record.Stamp{}, &fs.PathError{Op: "stat", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return record.Stamp{
		Ino: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Links: uint64(st.Nlink),
		Regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
	}, nil
}

// On reports whether the lists are on the file system with that device number (st_dev of
// stat(2)).
func (d *Dir) On(dev uint64) bool {
	var st unix.Stat_t
	return unix.Fstat(d.dirFd(), &st) == nil && st.Dev == dev
}

// Read returns the content of a list into buf, which may be nil.
func (d *Dir) Read(name string, buf []byte) ([]byte, error) { return readList(d.dir, name, buf) }

func readList(dir *os.File, name string, buf []byte) ([]byte, error) {
	path := filepath.Join(dir.Name(), name)
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("cannot read %s: not a regular file", path)
	}
	if st.Size > MaxSize {
		return nil, fmt.Errorf("cannot read %s: %d bytes are more than a list can have", path, st.Size)
	}
	if int64(cap(buf)) < st.Size {
		buf = make([]byte, st.Size)
	}
	buf = buf[:st.Size]
	for n := 0; n < len(buf); {
		m, err := unix.Read(fd, buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if m == 0 {
			return buf[:n], nil
		}
		n += m
	}
	return buf, nil
}

func (d *Dir) dirFd() int     { return int(d.dir.Fd()) }
func (d *Dir) stagingFd() int { return int(d.staging.Load().Fd()) }

func (d *Dir) stagingPath() string { return d.path + ".staging" }

// stagingName returns a name that no other staged file of this process has.
func (d *Dir) stagingName() string {
	d.serial++
	return strconv.FormatUint(d.serial, 36)
}

// validName refuses names that could leave the directory or be hidden in it.
func validName(name string) error {
	if name == "" || len(name) > 255 || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("cannot use %q as the name of a list", name)
	}
	return nil
}
