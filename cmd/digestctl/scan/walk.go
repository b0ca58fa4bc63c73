// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// walker finds files and opens them, in order.
type walker struct {
	ctx   context.Context
	o     Options
	emit  func(*job)
	roots []string
}

const openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// start is a tree with links followed.
type start struct {
	path string // on this machine
	fd   int
	st   unix.Stat_t
}

func (w *walker) walk() error {
	var starts []start
	defer func() {
		for _, s := range starts {
			unix.Close(s.fd)
		}
	}()
	var paths []string
	for _, tree := range w.o.Trees {
		s, err := w.find(tree)
		if err != nil {
			return fmt.Errorf("cannot list %s: %w", tree.Path, err)
		}
		starts = append(starts, s)
		listed, err := w.o.listed(s.path)
		if err != nil && s.path != filepath.Clean(w.o.Root) {
			return fmt.Errorf("cannot list %s: %w", tree.Path, err)
		}
		if err != nil {
			listed = "/"
		}
		w.roots = append(w.roots, listed)
		paths = append(paths, s.path)
	}
	w.roots = outermost(w.roots)
	trees := outermost(paths)
	done := map[string]bool{}
	slices.SortFunc(starts, func(a, b start) int { return comparePaths(a.path, b.path) })
	for _, s := range starts {
		if !slices.Contains(trees, s.path) || done[s.path] {
			continue
		}
		done[s.path] = true
		if err := w.tree(s); err != nil {
			return err
		}
	}
	return w.listedFiles(trees)
}

// find opens the beginning of a tree, following links, but not out of Chroot.
func (w *walker) find(tree Tree) (s start, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}
	at := unix.AT_FDCWD
	if tree.Chroot != "" {
		if at, err = unix.Open(tree.Chroot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return s, fmt.Errorf("%s: %w", tree.Chroot, err)
		}
		defer unix.Close(at)
		how.Resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	}
	if s.fd, err = unix.Openat2(at, tree.Path, &how); err != nil {
		return s, err
	}
	if err = unix.Fstat(s.fd, &s.st); err == nil {
		if kind := s.st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
			err = fmt.Errorf("%w, nor a directory", ErrNotRegular)
		}
	}
	if err == nil {
		s.path, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(s.fd))
	}
	if err == nil && strings.HasSuffix(s.path, " (deleted)") {
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(s.fd)
	}
	return s, err
}

func (w *walker) tree(s start) error {
	proc := "/proc/self/fd/" + strconv.Itoa(s.fd)
	if s.st.Mode&unix.S_IFMT == unix.S_IFREG {
		fd, err := unix.Open(proc, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return w.file(s.path, fd, err, nil)
	}
	fd, err := unix.Open(proc, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.skip(s.path, err)
		return w.ctx.Err()
	}
	return w.directory(s.path, fd, s.st.Dev)
}

// directory walks one, whose descriptor it closes. Files on another file system belong to
// another tree.
func (w *walker) directory(path string, fd int, dev uint64) error {
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		w.skip(path, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		below := strings.TrimSuffix(path, "/") + "/" + name
		var st unix.Stat_t
		err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			continue // gone since
		}
		if err != nil {
			w.skip(below, err)
			continue
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case kind == unix.S_IFDIR && st.Dev == dev:
			sub, err := unix.Openat(fd, name, openFlags|unix.O_DIRECTORY, 0)
			if err != nil {
				w.skip(below, err)
				continue
			}
			if err := w.directory(below, sub, dev); err != nil {
				return err
			}
		case kind == unix.S_IFREG:
			f, err := unix.Openat(fd, name, openFlags, 0)
			if err := w.file(below, f, err, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// listedFiles opens the files that were given one by one, but for those in trees.
func (w *walker) listedFiles(trees []string) error {
	files := slices.Clone(w.o.Listed)
	slices.SortFunc(files, comparePaths)
	for _, path := range slices.Compact(files) {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if slices.ContainsFunc(trees, func(t string) bool { return inside(t, path) }) {
			continue
		}
		fd, err := unix.Open(path, openFlags, 0)
		if errors.Is(err, unix.ELOOP) {
			err = fmt.Errorf("%w: a link", ErrNotRegular)
		}
		var want *Expectation
		if e, ok := w.o.Expected[path]; ok {
			want = &e
		}
		if err := w.file(path, fd, err, want); err != nil {
			return err
		}
	}
	return nil
}

// file hands a file on, open or with why it is not.
func (w *walker) file(path string, fd int, err error, want *Expectation) error {
	j := &job{fd: fd, err: err, want: want}
	if err == nil {
		var st unix.Stat_t
		if j.err = unix.Fstat(fd, &st); j.err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			j.err = ErrNotRegular
		}
		j.size = st.Size
	} else {
		j.fd = -1
	}
	listed, lerr := w.o.listed(path)
	j.path = listed
	if j.err == nil {
		j.err = lerr
	}
	w.emit(j)
	return w.ctx.Err()
}

func (w *walker) skip(path string, err error) {
	listed, lerr := w.o.listed(path)
	if lerr != nil {
		listed = path
	}
	w.emit(&job{path: listed, fd: -1, err: err})
}
