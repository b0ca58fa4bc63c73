// SPDX-License-Identifier: Apache-2.0

// Package plugin_test runs the rpm plugin inside real rpm, in each version it
// is built for, against a server that records what it is told. What the daemon
// makes of it is tested elsewhere.
package plugin_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/nevra"
)

// machine is a file system with an rpm of its own version. Paths that its
// programs are given start at root.
type machine struct {
	name string
	root string
	dnfs []string // package managers of its that use librpm
	dir  string   // scratch, as its programs see it
	rpm  string   // version
}

var machines []*machine

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
	made, err := os.MkdirTemp("", "digestd-packages-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(made)
	if err := makePackages(made); err != nil {
		return 1, err
	}
	for _, mc := range []*machine{
		{name: "host", root: "/", dnfs: []string{"dnf"}},
		{name: "trixie", root: filepath.Join(cache, "trixie"), dnfs: []string{"dnf"}},
		{name: "forky", root: filepath.Join(cache, "forky"), dnfs: []string{"dnf", "dnf5"}},
	} {
		machines = append(machines, mc)
		err := mc.prepare(made)
		if mc.dir != "" {
			defer os.RemoveAll(mc.outside(mc.dir))
		}
		if err != nil {
			return 1, fmt.Errorf("%s: %w", mc.name, err)
		}
	}
	return m.Run(), nil
}

// outside is how this process names what the machine's programs call path.
func (m *machine) outside(path string) string { return filepath.Join(m.root, path) }

// prepare builds the plugin with the machine's own compiler and librpm, and
// brings the packages in.
func (m *machine) prepare(made string) error {
	if _, err := os.Stat(m.outside("/usr/bin/rpm")); err != nil {
		return fmt.Errorf("no rpm to test with (make test, or integration/setup.sh test, sets it up): %w", err)
	}
	dir, err := os.MkdirTemp(m.outside("/tmp"), "digestd-")
	if err != nil {
		return err
	}
	m.dir = filepath.Join("/tmp", filepath.Base(dir))
	version, err := m.command("rpm", "--version").Output()
	if err != nil {
		return fmt.Errorf("cannot ask rpm for its version: %w", err)
	}
	m.rpm = strings.TrimPrefix(strings.TrimSpace(string(version)), "RPM version ")
	source := filepath.Join("..", "..", "hooks", "rpm")
	for _, sub := range []struct{ from, to string }{{source, "plugin"}, {made, "packages"}, {"testdata", "preload"}} {
		if err := os.CopyFS(filepath.Join(dir, sub.to), os.DirFS(sub.from)); err != nil {
			return err
		}
	}
	in := func(program string) string { return program }
	if m.root != "/" {
		in = func(program string) string {
			return "chroot " + m.root + " env -C " + filepath.Join(m.dir, "plugin") + " " + program
		}
	}
	build := exec.Command("make", "-B", "-C", filepath.Join(dir, "plugin"), "CC="+in("cc"), "PKG_CONFIG="+in("pkg-config"))
	if out, err := build.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("cannot build the plugin: %w", err), errors.New(string(out)))
	}
	for _, name := range []string{"allocs", "faults"} {
		cc := m.command("cc", "-shared", "-fPIC", "-o", m.library(name), filepath.Join(m.dir, "preload", name+".c"))
		if out, err := cc.CombinedOutput(); err != nil {
			return errors.Join(fmt.Errorf("cannot build %s: %w", name, err), errors.New(string(out)))
		}
	}
	return nil
}

// library is one of those in testdata, to be preloaded into rpm.
func (m *machine) library(name string) string { return filepath.Join(m.dir, "preload", name+".so") }

// hooksScriptStages reports whether rpm runs the hooks of a package around its
// %pretrans and %posttrans too.
func (m *machine) hooksScriptStages() bool { return nevra.Vercmp(m.rpm, "6.1") < 0 }

// everywhere runs a test with each rpm.
func everywhere(t *testing.T, test func(t *testing.T, b *box)) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			test(t, newBox(t, m))
		})
	}
}
