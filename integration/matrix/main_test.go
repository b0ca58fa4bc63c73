// SPDX-License-Identifier: Apache-2.0

// Package matrix_test runs one scenario with every package manager of every
// release, as its users do: the whole of digestd, the plugins within rpm, dnf
// and dnf5, and a repository on a server that counts what is downloaded.
package matrix_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// release is a file system with an rpm of its own version. Paths that its
// programs are given start at root.
type release struct {
	name     string
	root     string
	managers []manager
	dir      string // scratch, as its programs see it
}

var (
	releases []*release
	programs pkgtest.Programs
	packages string // a repository
	vendor   *pkgtest.Key
	stolen   *pkgtest.Key
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	cache := os.Getenv("DIGESTD_TEST_CACHE")
	if cache == "" {
		cache = "/var/cache/digestd-test"
	}
	made, err := os.MkdirTemp("", "digestd-matrix-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(made)
	if programs, err = pkgtest.BuildPrograms(made); err != nil {
		return 1, err
	}
	packages = filepath.Join(made, "packages")
	if err := makePackages(made, packages); err != nil {
		return 1, err
	}
	for _, r := range []*release{
		{name: "bookworm", root: "/", managers: []manager{rpm, dnf4}},
		{name: "trixie", root: filepath.Join(cache, "trixie"), managers: []manager{rpm, dnf4}},
		{name: "forky", root: filepath.Join(cache, "forky"), managers: []manager{rpm, dnf4, dnf5}},
	} {
		releases = append(releases, r)
		err := r.prepare()
		if r.dir != "" {
			defer os.RemoveAll(r.outside(r.dir))
		}
		if err != nil {
			return 1, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return m.Run(), nil
}

// outside is how this process names what the release's programs call path.
func (r *release) outside(path string) string { return filepath.Join(r.root, path) }

// prepare builds rpm's plugin with the release's own compiler and librpm.
func (r *release) prepare() error {
	if _, err := os.Stat(r.outside("/usr/bin/rpm")); err != nil {
		return fmt.Errorf("no rpm to test with (make test, or integration/setup.sh test, sets it up): %w", err)
	}
	dir, err := os.MkdirTemp(r.outside("/tmp"), "digestd-")
	if err != nil {
		return err
	}
	r.dir = filepath.Join("/tmp", filepath.Base(dir))
	if err := os.CopyFS(filepath.Join(dir, "rpm"), os.DirFS(filepath.Join("..", "..", "hooks", "rpm"))); err != nil {
		return err
	}
	in := func(program string) string { return program }
	if r.root != "/" {
		in = func(program string) string {
			return "chroot " + r.root + " env -C " + filepath.Join(r.dir, "rpm") + " " + program
		}
	}
	return mk("-B", "-C", filepath.Join(dir, "rpm"), "CC="+in("cc"), "PKG_CONFIG="+in("pkg-config"))
}

// mk runs make and returns what it said as an error if it failed.
func mk(args ...string) error {
	if out, err := exec.Command("make", append([]string{"-s"}, args...)...).CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", strings.Join(args, " "), err), errors.New(string(out)))
	}
	return nil
}

// command is one that runs in the release.
func (r *release) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	if r.root != "/" {
		if !filepath.IsAbs(name) {
			name = filepath.Join("/usr/bin", name)
		}
		cmd.Path, cmd.Err = name, nil
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.root}
	}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/nonexistent"}
	return cmd
}

// makePackages makes a repository of what the scenario needs.
func makePackages(dir, repository string) (err error) {
	if vendor, err = pkgtest.NewKey("vendor", 2048); err != nil {
		return err
	}
	if stolen, err = pkgtest.NewKey("stolen", 2048); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", dir, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build probe: %w\n%s", err, out)
	}
	probe, err := os.ReadFile(filepath.Join(dir, "probe"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(repository, 0o755); err != nil {
		return err
	}
	for _, p := range []pkgtest.Package{
		{Name: "tool", Version: "1", Files: map[string]string{"/usr/bin/tool": string(probe)}, Post: "runs it", PostProg: "/usr/bin/tool"},
		{Name: "tool", Version: "2", Files: map[string]string{"/usr/bin/tool": string(probe) + "2"}, Post: "runs it", PostProg: "/usr/bin/tool"},
		{Name: "other", Version: "1", Files: map[string]string{"/usr/bin/other": "other"}},
		{Name: "signed", Version: "1", Files: map[string]string{"/usr/bin/signed": "signed"}, Key: stolen},
	} {
		p.Release, p.Arch = "1", "noarch"
		if p.Key == nil {
			p.Key = vendor
		}
		if _, err := p.Build(repository); err != nil {
			return err
		}
	}
	if out, err := exec.Command("createrepo_c", "--quiet", repository).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make a repository: %w\n%s", err, out)
	}
	return nil
}
