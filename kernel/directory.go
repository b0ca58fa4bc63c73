// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Directory is an open directory inside a Root.
type Directory struct {
	fd   int
	Path string // inside the root, links resolved, without a trailing slash
}

// Directory opens the directory at path. Links in the path stay inside the root.
func (r *Root) Directory(path string) (*Directory, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(r.dir.Fd()), path, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	outside, err := os.Readlink(openFile(fd))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	root, err := os.Readlink(openFile(int(r.dir.Fd())))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	inside := strings.TrimPrefix(outside, strings.TrimSuffix(root, "/"))
	return &Directory{fd: fd, Path: strings.TrimSuffix(filepath.Clean("/"+inside), "/")}, nil
}

// Close releases the directory.
func (d *Directory) Close() error { return unix.Close(d.fd) }

// Size returns the size in bytes of a file in the directory, and whether it is a regular file.
func (d *Directory) Size(base string) (int64, bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, false
	}
	return st.Size, true
}
