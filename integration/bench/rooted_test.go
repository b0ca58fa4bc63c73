// SPDX-License-Identifier: Apache-2.0

package bench_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// inhabit makes a root one that rpm can run in, as on a machine whose root it
// is: with --root, rpm ends a transaction by a syncfs(2) of the file system it
// came from instead of the one that it installed into. These directories are to
// be seen there under the same name.
func (l *lab) inhabit(root *pkgtest.Root, visible ...string) {
	l.Helper()
	for _, name := range []string{"usr", "bin", "sbin", "lib", "lib64"} {
		host := "/" + name
		target, err := os.Readlink(host)
		switch {
		case err == nil:
			err = os.Symlink(target, filepath.Join(root.Dir, name))
		case errors.Is(err, fs.ErrNotExist):
			continue
		default:
			visible, err = append(visible, host), nil
		}
		if err != nil {
			l.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root.Dir, "etc"), 0o755); err != nil {
		l.Fatal(err)
	}
	for _, name := range []string{"passwd", "group", "nsswitch.conf", "ld.so.cache"} {
		content, err := os.ReadFile(filepath.Join("/etc", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(root.Dir, "etc", name), content, 0o644)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.Fatal(err)
		}
	}
	// A package must not get into the machine itself.
	writable := map[string]bool{"/proc": true, "/dev": true}
	for _, dir := range append(visible, "/proc", "/dev") {
		at := filepath.Join(root.Dir, dir)
		err := os.MkdirAll(at, 0o755)
		if err == nil {
			err = unix.Mount(dir, at, "", unix.MS_BIND, "")
		}
		if err == nil && !writable[dir] {
			err = unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
		}
		if err != nil {
			l.Fatalf("cannot show %s in %s: %v", dir, root.Dir, err)
		}
		l.Cleanup(func() {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				l.Errorf("cannot take %s away: %v", at, err)
			}
		})
	}
}

// within prepares rpm in an inhabited root.
func (l *lab) within(root *pkgtest.Root, args ...string) *exec.Cmd {
	l.Helper()
	cmd := root.Command(args...)
	if cmd.Args[1] != "--root" {
		l.Fatalf("unexpected command %q", cmd.Args)
	}
	cmd.Args = append(cmd.Args[:1], cmd.Args[3:]...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root.Dir}
	return cmd
}
