// SPDX-License-Identifier: Apache-2.0

// Package keys_test proves what becomes of keys on real parts: certificates made
// by GnuPG and Sequoia in every state that an owner can give them, and kept by
// rpm 4.18, 4.20 and 6.1 in every form that these have. What rpmdb/pgp says of a
// certificate is compared with the verdict of the program that made it; a daemon
// that runs must notice what rpm does to its keyring.
//
// Which list a package gets, and how revocation survives a crash, is tested in
// integration/system.
package keys_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// release is a file system with programs of its own. Paths that these are given
// start at root.
type release struct {
	name, root string
	rpm        string   // version, its first two numbers
	keyrings   []string // values of %_keyring
	deletes    bool     // rpmkeys has --delete

	plugin sync.Once
	built  string // path of the plugin
	err    error
}

var (
	host   = release{name: "host", root: "/", rpm: "4.18", keyrings: []string{"rpmdb", "fs"}}
	trixie = release{name: "trixie", rpm: "4.20", keyrings: []string{"rpmdb", "fs"}, deletes: true}
	forky  = release{name: "forky", rpm: "6.1", keyrings: []string{"rpmdb", "fs", "openpgp"}, deletes: true}

	releases = []*release{&host, &trixie, &forky}

	programs pkgtest.Programs
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
	trixie.root, forky.root = filepath.Join(cache, "trixie"), filepath.Join(cache, "forky")
	dir, err := os.MkdirTemp("", "digestd-keys-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if programs, err = pkgtest.BuildPrograms(dir); err != nil {
		return 1, err
	}
	defer func() {
		for _, r := range releases {
			if r.built != "" {
				err = errors.Join(err, os.RemoveAll(filepath.Dir(r.built)))
			}
		}
	}()
	return m.Run(), nil
}

// pluginFile returns the plugin, built by the release's own compiler.
func (r *release) pluginFile(t *testing.T) string {
	t.Helper()
	r.plugin.Do(func() { r.err = r.buildPlugin() })
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.built
}

func (r *release) buildPlugin() error {
	dir, err := os.MkdirTemp(filepath.Join(r.root, "tmp"), "digestd-plugin-")
	if err != nil {
		return err
	}
	r.built = filepath.Join(dir, "digestd.so")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "hooks", "rpm"))); err != nil {
		return err
	}
	in := ""
	if r.root != "/" {
		in = "chroot " + r.root + " env -C " + filepath.Join("/tmp", filepath.Base(dir)) + " "
	}
	if out, err := exec.Command("make", "-s", "-B", "-C", dir, "digestd.so", "CC="+in+"cc", "PKG_CONFIG="+in+"pkg-config").CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the plugin in %s: %w\n%s", r.name, err, out)
	}
	return nil
}

// command is one that runs in the release.
func (r *release) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	if r.root != "/" {
		cmd.Path, cmd.Err = filepath.Join("/usr/bin", name), nil
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.root}
	}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/nonexistent"}
	return cmd
}

// scratch makes a directory that is gone after the test, and returns its name as
// the release's programs and as this process call it.
func (r *release) scratch(t *testing.T) (inside, outside string) {
	t.Helper()
	outside, err := os.MkdirTemp(filepath.Join(r.root, "tmp"), "digestd-keys-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(outside) })
	return filepath.Join("/tmp", filepath.Base(outside)), outside
}

// copyFile brings a file into a directory.
func copyFile(t *testing.T, from, dir string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
