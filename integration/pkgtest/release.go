// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Release is a file system with programs of its own, which brings another version of
// rpm. Paths that its programs are given start at Root.
type Release struct{ Name, Root string }

// Releases are this machine, and those that integration/setup.sh made.
func Releases() (host, trixie, forky Release) {
	cache := cmp.Or(os.Getenv("DIGESTD_TEST_CACHE"), "/var/cache/digestd-test")
	return Release{"host", "/"}, Release{"trixie", filepath.Join(cache, "trixie")}, Release{"forky", filepath.Join(cache, "forky")}
}

// Outside is how this process names what the release's programs call path.
func (r Release) Outside(path string) string { return filepath.Join(r.Root, path) }

// Inside is how the release's programs call what this process names path.
func (r Release) Inside(path string) string {
	return filepath.Join("/", strings.TrimPrefix(path, strings.TrimSuffix(r.Root, "/")))
}

// Command is one that runs in the release, with little in its environment.
func (r Release) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	r.Enter(cmd)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/nonexistent"}
	return cmd
}

// Enter has a command run in the release.
func (r Release) Enter(cmd *exec.Cmd) {
	if r.Root != "/" {
		if name := cmd.Args[0]; !filepath.IsAbs(name) {
			cmd.Path, cmd.Err = filepath.Join("/usr/bin", name), nil
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.Root}
	}
	cmd.Dir = "/"
}

// Scratch makes a directory of the release that is gone after the test, and returns
// its name as the release's programs and as this process call it.
func (r Release) Scratch(tb testing.TB) (inside, outside string) {
	tb.Helper()
	outside, err := r.mkdir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(outside) })
	return r.Inside(outside), outside
}

// Scratch is that of [Release], for what tests share.
func (s *Setup) Scratch(r Release) (inside, outside string, err error) {
	if outside, err = r.mkdir(); err != nil {
		return "", "", err
	}
	s.Cleanup(func() { os.RemoveAll(outside) })
	return r.Inside(outside), outside, nil
}

func (r Release) mkdir() (string, error) {
	if _, err := os.Stat(r.Outside("/usr/bin/rpm")); err != nil {
		return "", fmt.Errorf("no rpm to test with (make test, or integration/setup.sh test, sets it up): %w", err)
	}
	return os.MkdirTemp(r.Outside("/tmp"), "digestd-") // short: sockets are to lie below it
}

// Copy is a copy of the release for a test that changes it, or runs it as a root of its own.
// Making one costs nothing.
func (r Release) Copy(tb testing.TB) Release {
	tb.Helper()
	if _, err := os.Stat(r.Outside("/usr/bin/rpm")); err != nil {
		tb.Fatalf("no rpm to test with (make test, or integration/setup.sh test, sets it up): %v", err)
	}
	dir, err := os.MkdirTemp("/tmp", "copy-") // short: sockets are to lie below it
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755")
	}
	if err != nil {
		tb.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	tb.Cleanup(func() {
		for _, mounted := range []string{root, dir} {
			if err := syscall.Unmount(mounted, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
				tb.Errorf("cannot unmount %s: %v", mounted, err)
			}
		}
		os.Remove(dir)
	})
	for _, sub := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", r.Root, filepath.Join(dir, "upper"), filepath.Join(dir, "work"))
	if err := syscall.Mount("overlay", root, "overlay", 0, options); err != nil {
		tb.Fatalf("cannot mount a copy of %s: %v", r.Root, err)
	}
	return Release{r.Name, root}
}

// BuildPlugin copies rpm's plugin into a new directory, as the release's programs call
// it, and builds it there with the release's own compiler and librpm. Settings are
// further arguments of make.
func (r Release) BuildPlugin(dir string, settings ...string) error {
	source, err := sourceTree()
	if err == nil {
		err = os.CopyFS(r.Outside(dir), os.DirFS(filepath.Join(source, "hooks", "rpm")))
	}
	if err != nil {
		return err
	}
	in := ""
	if r.Root != "/" {
		in = "chroot " + r.Root + " env -C " + dir + " "
	}
	args := append([]string{"-s", "-B", "-C", r.Outside(dir), "digestd.so", "CC=" + in + "cc", "PKG_CONFIG=" + in + "pkg-config"}, settings...)
	out, err := exec.Command("make", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot build the plugin in %s: %w\n%s", r.Name, err, out)
	}
	return nil
}
