// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// safeDir opens the directory of a file, if only root, or the user of this process, can
// write to it and to all those above, and none of them is a link.
func safeDir(file string) (dir *os.File, name string, err error) {
	if !path.IsAbs(file) || path.Clean(file) != file || file == "/" {
		return nil, "", fmt.Errorf("%s is not an absolute path of a file", file)
	}
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	at := "/"
	parts := strings.Split(strings.Trim(path.Dir(file), "/"), "/")
	for i := 0; ; i++ {
		if err := safe(fd, at); err != nil {
			unix.Close(fd)
			return nil, "", err
		}
		if i == len(parts) || parts[i] == "" {
			return os.NewFile(uintptr(fd), at), path.Base(file), nil
		}
		at = path.Join(at, parts[i])
		next, err := unix.Openat(fd, parts[i], unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil, "", fmt.Errorf("%s is not a directory, or is a symbolic link", at)
		}
		if err != nil {
			return nil, "", &os.PathError{Op: "open", Path: at, Err: err}
		}
		fd = next
	}
}

// safe refuses a directory that others can write to.
func safe(fd int, at string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: at, Err: err}
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s belongs to user %d: it must belong to root", at, st.Uid)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("users other than root can write to %s (mode %04o)", at, st.Mode&0o7777)
	}
	return nil
}

// putFile makes a file in a directory, in the place of one of that name.
func putFile(dir *os.File, name string, data []byte) error {
	fd := int(dir.Fd())
	temporary := "." + name + "." + rand.Text()
	out, err := unix.Openat(fd, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: path.Join(dir.Name(), temporary), Err: err}
	}
	f := os.NewFile(uintptr(out), temporary)
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644) // node_exporter is not root
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = unix.Renameat(fd, temporary, fd, name)
	}
	if err != nil {
		unix.Unlinkat(fd, temporary, 0)
	}
	return err
}
