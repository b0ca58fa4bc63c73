// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ownFiles is the directory of the open files of this process.
var ownFiles = "/proc/self/fd/"

func openFile(fd int) string { return ownFiles + strconv.Itoa(fd) }

// Enter makes the directory at path the root of this process permanently: no path and no
// symbolic link leads out of it afterwards. It needs CAP_SYS_CHROOT. Call it before anything
// below path is read, in a program that uses no relative path: the working directory becomes
// /proc of the former root, where this package finds its open files, because the new root may
// have no /proc, or a false one.
func Enter(path string) error {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open /proc: %w", err)
	}
	defer unix.Close(proc)
	var st unix.Statfs_t
	if err := unix.Fstatfs(proc, &st); err != nil || st.Type != unix.PROC_SUPER_MAGIC {
		return fmt.Errorf("cannot use /proc: it is no proc file system")
	}
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("cannot find root: %w", err)
	}
	if err := unix.Chdir(path); err != nil {
		return fmt.Errorf("cannot enter root %s: %w", path, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("cannot enter root %s: %w", path, err)
	}
	if err := unix.Fchdir(proc); err != nil {
		return fmt.Errorf("cannot go back to /proc: %w", err)
	}
	ownFiles = "self/fd/"
	return nil
}
