// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// machine is a root with rpm's database, a bus, and a daemon that keeps its lists.
type machine struct{ *pkgtest.Machine }

func newMachine(t testing.TB) *machine {
	t.Helper()
	return machineIn(t, t.TempDir())
}

// machineIn makes a machine in dir.
func machineIn(tb testing.TB, dir string) *machine {
	tb.Helper()
	m := &machine{pkgtest.NewMachine(tb, programs, dir)}
	m.Args = []string{"-verbose"}
	return m
}

// start makes a machine for a test that is no script, with a trusted key and
// the daemon running.
func start(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.importKey("vendor")
	m.Start()
	return m
}

// importKey makes rpm trust the key of that name.
func (m *machine) importKey(name string) {
	m.Helper()
	s, err := signerOf(name)
	m.OK(err)
	file := m.In(name + ".asc")
	m.OK(os.WriteFile(file, s.armor, 0o644))
	m.RPM("--import", file)
}

// build makes a package of the words that pkgtest.ParsePackage reads, and returns its
// file.
func (m *machine) build(words ...string) string {
	m.Helper()
	p, owner, err := pkgtest.ParsePackage(words...)
	m.OK(err)
	if owner != "" {
		s, err := signerOf(owner)
		m.OK(err)
		p.Sign = s.sign
	}
	return m.Build(p)
}

// list is the path of a list.
func (m *machine) list(name string) string { return filepath.Join(m.Lists(), name) }
