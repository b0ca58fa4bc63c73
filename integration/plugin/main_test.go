// SPDX-License-Identifier: Apache-2.0

// Package plugin_test runs the rpm plugin inside real rpm, in each version it
// is built for, against a server that records what it is told. What the daemon
// makes of it is tested elsewhere.
package plugin_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
}

var machines []*machine

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
		return nil
	})
}

// prepare builds the plugin and what is preloaded into rpm, and brings the packages in.
func (m *machine) prepare(s *pkgtest.Setup) error {
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
	err = errors.Join(m.BuildPlugin(filepath.Join(dir, "plugin")),
		os.CopyFS(filepath.Join(outside, "packages"), os.DirFS(s.Dir)), os.CopyFS(filepath.Join(outside, "preload"), os.DirFS("testdata")))
	if err != nil {
		return err
	}
	for _, name := range []string{"allocs", "faults"} {
		cc := m.Command("cc", "-shared", "-fPIC", "-o", m.library(name), filepath.Join(m.dir, "preload", name+".c"))
		if out, err := cc.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", name, err, out)
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
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			test(t, newBox(t, m))
		})
	}
}
