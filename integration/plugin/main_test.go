// SPDX-License-Identifier: Apache-2.0

// Package plugin_test runs the rpm plugin inside real rpm, in each version it is built for,
// against a server that records what it is told. Other packages test the daemon.
package plugin_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/integration/pkgtest"
)

// machine is a release whose package managers load the plugin.
type machine struct {
	pkgtest.Release
	dnfs []string // package managers of its that use librpm
	dir  string   // scratch, as its programs see it
	rpm  string   // version
	env  []string // of rpm
}

var machines []*machine

// sanitized is one of them again, with a plugin that the address and
// undefined-behaviour sanitizers watch.
var sanitized *machine

func TestMain(m *testing.M) {
	pkgtest.Main(m, func(s *pkgtest.Setup) error {
		if err := makePackages(s.Dir); err != nil {
			return err
		}
		host, trixie, forky := pkgtest.Releases()
		machines = []*machine{{Release: host, dnfs: []string{"dnf"}}, {Release: trixie, dnfs: []string{"dnf"}}, {Release: forky, dnfs: []string{"dnf", "dnf5"}}}
		for _, mc := range machines {
			if err := mc.prepare(s); err != nil {
				return fmt.Errorf("%s: %w", mc.Name, err)
			}
		}
		var err error
		if sanitized, err = sanitize(s, trixie); err != nil {
			return fmt.Errorf("%s, with sanitizers: %w", trixie.Name, err)
		}
		return nil
	})
}

// prepare builds the plugin and what is preloaded into rpm, and brings the packages in.
func (m *machine) prepare(s *pkgtest.Setup, settings ...string) error {
	dir, outside, err := s.Scratch(m.Release)
	if err != nil {
		return err
	}
	m.dir = dir
	version, err := m.Command("rpm", "--version").Output()
	if err != nil {
		return fmt.Errorf("cannot ask rpm for its version: %w", err)
	}
	m.rpm = strings.TrimPrefix(strings.TrimSpace(string(version)), "RPM version ")
	err = errors.Join(m.BuildPlugin(filepath.Join(dir, "plugin"), settings...),
		os.CopyFS(filepath.Join(outside, "packages"), os.DirFS(s.Dir)), os.CopyFS(filepath.Join(outside, "preload"), os.DirFS("testdata")))
	if err != nil {
		return err
	}
	for _, name := range []string{"allocs", "faults", "sanitize"} {
		cc := m.Command("cc", "-shared", "-fPIC", "-o", m.library(name), filepath.Join(m.dir, "preload", name+".c"))
		if out, err := cc.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// sanitize is a release whose plugin runs under the sanitizers: what they find ends rpm.
// Debian 12's rpm does not start with its compiler's sanitizers.
func sanitize(s *pkgtest.Setup, r pkgtest.Release) (*machine, error) {
	m := &machine{Release: r}
	if err := m.prepare(s, "CFLAGS=-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"); err != nil {
		return nil, err
	}
	asan, err := m.Command("cc", "-print-file-name=libasan.so").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find the address sanitizer's library: %w", err)
	}
	m.Name += " under sanitizers"
	m.env = []string{"LD_PRELOAD=" + m.library("sanitize") + ":" + strings.TrimSpace(string(asan))}
	return m, nil
}

// library is one of those in testdata, to be preloaded into rpm.
func (m *machine) library(name string) string { return filepath.Join(m.dir, "preload", name+".so") }

// hooksScriptStages reports whether rpm runs the hooks of a package around its
// %pretrans and %posttrans too.
func (m *machine) hooksScriptStages() bool { return nevra.Vercmp(m.rpm, "6.1") < 0 }

// everywhere runs a test with each rpm.
func everywhere(t *testing.T, test func(t *testing.T, b *box)) {
	t.Helper()
	on(t, machines, test)
}

// watched runs a test with each rpm, and once more under the sanitizers.
func watched(t *testing.T, test func(t *testing.T, b *box)) {
	t.Helper()
	on(t, append(slices.Clone(machines), sanitized), test)
}

func on(t *testing.T, machines []*machine, test func(t *testing.T, b *box)) {
	t.Helper()
	for _, m := range machines {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			test(t, newBox(t, m))
		})
	}
}
