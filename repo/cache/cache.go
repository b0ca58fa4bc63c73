// SPDX-License-Identifier: Apache-2.0

// Package cache finds the metadata of package repositories in the caches of dnf, dnf5 and
// zypper.
//
// It opens nothing outside of these caches: it follows no links, and every file, and every
// directory on the way, must belong to root and be writable by root only. It ignores the caches
// of users.
package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Manager is a package manager with a cache of metadata.
type Manager struct {
	Name string // dnf, dnf5, zypper
	Dir  string // of its cache, relative to the root
}

// Managers are the supported package managers.
var Managers = []Manager{
	{"dnf", "var/cache/dnf"},
	{"dnf5", "var/cache/libdnf5"},
	{"zypper", "var/cache/zypp/raw"},
}

const (
	maxRepositories = 512 // of one package manager
	repomd          = "repomd.xml"
	signature       = "repomd.xml.asc"
	maxSignature    = 1 << 20
)

// Repository is the metadata of one repository. It keeps its directory open.
type Repository struct {
	ID      string // as the package manager's configuration names it
	Manager string
	Dir     string // of repomd.xml, as seen from the root
	Stamp   string // identifies repomd.xml and its signature; differs if they may have changed
	Changed int64  // time of repomd.xml, in nanoseconds since 1970
	dir     *os.File
}

// Close closes the directory.
func (r *Repository) Close() error { return r.dir.Close() }

// Find opens the repositories below root. errs has an error for each cache and each repository
// that cannot be used; they do not affect the others.
func Find(root string) (found []*Repository, errs []error) {
	top, err := os.Open(root)
	if err != nil {
		return nil, []error{err}
	}
	defer top.Close()
	for _, m := range Managers {
		dir, err := descend(top, m.Dir)
		if err == nil {
			var entries []os.DirEntry
			if entries, err = dir.ReadDir(maxRepositories + 1); errors.Is(err, io.EOF) {
				err = nil
			}
			if err == nil && len(entries) > maxRepositories {
				err = fmt.Errorf("it has more than %d entries", maxRepositories)
			}
			for _, e := range entries[:min(len(entries), maxRepositories)] {
				r, err := m.open(dir, e.Name())
				switch {
				case err == nil:
					found = append(found, r)
				case !gone(err):
					errs = append(errs, fmt.Errorf("cannot use the metadata in /%s/%.80q: %w", m.Dir, e.Name(), err))
				}
			}
			dir.Close()
		}
		if err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("cannot use the cache /%s: %w", m.Dir, err))
		}
	}
	slices.SortFunc(found, func(a, b *Repository) int { return strings.Compare(a.Dir, b.Dir) })
	return found, errs
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// open opens the repository in a directory of the cache.
func (m Manager) open(cache *os.File, name string) (*Repository, error) {
	dir, err := descend(cache, name+"/repodata")
	if err != nil {
		return nil, err
	}
	r := &Repository{ID: m.id(name), Manager: m.Name, Dir: filepath.Join("/", m.Dir, name, "repodata"), dir: dir}
	if r.Stamp, err = r.stamp(); err != nil {
		dir.Close()
		return nil, err
	}
	return r, nil
}

// id returns the configuration's name of a repository: dnf appends a hyphen and 16 digits.
func (m Manager) id(name string) string {
	const digits = 16
	i := len(name) - digits - 1
	if m.Name == "zypper" || i <= 0 || name[i] != '-' || strings.Trim(name[i+1:], "0123456789abcdef") != "" {
		return name
	}
	return name[:i]
}

// stamp describes repomd.xml and its signature.
func (r *Repository) stamp() (string, error) {
	text := ""
	for _, name := range []string{repomd, signature} {
		var st unix.Stat_t
		err := unix.Fstatat(int(r.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if name == signature && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		r.Changed = max(r.Changed, st.Mtim.Nano())
		text += fmt.Sprintf("%d.%d.%d.%d.%d ", st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Dev)
	}
	return text, nil
}

// descend opens a directory below another one, and checks every directory on the way.
func descend(from *os.File, path string) (*os.File, error) {
	fd, err := unix.Openat(int(from.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(path, "/") {
		next, err := unix.Openat2(fd, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: resolve})
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
		if err := trusted(next, unix.S_IFDIR); err != nil {
			unix.Close(next)
			return nil, fmt.Errorf("%.80q %w", name, err)
		}
		fd = next
	}
	return os.NewFile(uintptr(fd), path), nil
}

const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// trusted returns an error if users other than root can change the open file.
func trusted(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return errors.New("is of another kind")
	case st.Uid != 0:
		return fmt.Errorf("belongs to user %d, not to root", st.Uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("can be written by others than root: mode %04o", st.Mode&0o7777)
	}
	return nil
}

// Open opens a file of the repository.
func (r *Repository) Open(name string) (*os.File, error) {
	if name != filepath.Base(name) || name == "." || name == ".." || name == "/" {
		return nil, fmt.Errorf("cannot open %.80q: it is no name of a file", name)
	}
	fd, err := unix.Openat2(int(r.dir.Fd()), name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: resolve})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(r.Dir, name), Err: err}
	}
	if err := trusted(fd, unix.S_IFREG); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot open %s: it %w", filepath.Join(r.Dir, name), err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(r.Dir, name)), nil
}

// Repomd reads repomd.xml and its signature, if there is one: dnf stores it if repo_gpgcheck is
// set, zypper always.
func (r *Repository) Repomd(most int64) (data, sig []byte, err error) {
	if data, err = r.readAll(repomd, most); err != nil {
		return nil, nil, err
	}
	if sig, err = r.readAll(signature, maxSignature); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return data, sig, err
}

func (r *Repository) readAll(name string, most int64) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", f.Name(), most)
	}
	return data, err
}
