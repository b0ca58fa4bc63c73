// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Labels finds out which files of a Root have no label, for many files in a row. It keeps a few
// of their directories open. Only one goroutine may use it.
type Labels struct {
	root *Root
	dirs map[string]labelDir // by path, with a trailing slash
	slow bool                // the kernel does not have getxattrat
}

type labelDir struct {
	fd  int
	err error // why it could not be opened
}

// mostDirs bounds how many directories a Labels keeps open.
const mostDirs = 32

// Labels returns a Labels without open directories.
func (r *Root) Labels() *Labels { return &Labels{root: r, dirs: map[string]labelDir{}} }

// Close closes the directories.
func (l *Labels) Close() {
	for _, d := range l.dirs {
		if d.err == nil {
			unix.Close(d.fd)
		}
	}
	clear(l.dirs)
}

// None reports whether path leads, by the rules of [Root.Find], to no label: there is no file,
// or it has none. It is false if only Find can tell.
func (l *Labels) None(path string) bool {
	at := strings.LastIndexByte(path, '/') + 1
	dir, base := path[:at], path[at:]
	if dir == "" || base == "" || base == "." || base == ".." {
		return false
	}
	d := l.open(dir)
	if d.err != nil {
		return errors.Is(d.err, unix.ENOENT) || errors.Is(d.err, unix.ENOTDIR)
	}
	switch err := l.label(d.fd, base); {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return true
	case errors.Is(err, unix.ENOENT): // the file, or /proc, is missing
		var st unix.Stat_t
		return errors.Is(unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW), unix.ENOENT)
	}
	return false
}

func (l *Labels) open(dir string) labelDir {
	d, known := l.dirs[dir]
	if known {
		return d
	}
	if len(l.dirs) == mostDirs {
		l.Close()
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	d.fd, d.err = openat2(int(l.root.dir.Fd()), dir, &how)
	l.dirs[dir] = d
	return d
}

// label returns nil if a file in a directory has a label. Kernels before 6.13 lack getxattrat,
// and a filter of system calls may refuse it.
func (l *Labels) label(dir int, base string) error {
	if !l.slow {
		switch err := getxattrat(dir, base, LabelName); {
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			l.slow = true
		default:
			return err
		}
	}
	_, err := unix.Lgetxattr(openFile(dir)+"/"+base, LabelName, nil)
	return err
}

// sysGetxattrat is the number of getxattrat(2), which package unix lacks.
const sysGetxattrat = 464

// getxattrat returns nil if a file in a directory has the attribute. It does not follow a link.
func getxattrat(dir int, base, name string) error {
	path, err := unix.BytePtrFromString(base)
	if err != nil {
		return err
	}
	attribute, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	var value struct { // struct xattr_args, for a value of no size
		value       uint64
		size, flags uint32
	}
	_, _, errno := unix.Syscall6(sysGetxattrat, uintptr(dir), uintptr(unsafe.Pointer(path)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(attribute)), uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value))
	if errno != 0 {
		return errno
	}
	return nil
}
