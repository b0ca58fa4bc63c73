// SPDX-License-Identifier: Apache-2.0

// Package deny_test proves on real rpm, with the plugin, that what the owner
// denies is vouched for by no list and installed by no package manager, until
// that is lifted or expires, and wherever the daemon dies meanwhile.
package deny_test

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/pkgtest"
)

var (
	programs pkgtest.Programs
	vendor   *pkgtest.Key
)

func TestMain(m *testing.M) {
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		if programs, err = pkgtest.BuildPrograms(s.Dir, "failpoint"); err != nil {
			return err
		}
		vendor, err = pkgtest.NewKey("vendor", 2048)
		return err
	})
}

// machine is a root with a daemon that keeps its lists.
type machine struct{ *pkgtest.Machine }

func newMachine(t *testing.T, config ...string) *machine {
	t.Helper()
	m := &machine{pkgtest.NewMachine(t, programs, t.TempDir(), config...)}
	m.Trust(vendor)
	m.Start()
	return m
}

// build makes a package by the vendor of the words that pkgtest.ParsePackage reads.
func (m *machine) build(words ...string) string {
	m.Helper()
	p, _, err := pkgtest.ParsePackage(words...)
	m.OK(err)
	p.Key = vendor
	return m.Build(p)
}

// files are the paths that a list has, sorted.
func (m *machine) files(list string) []string {
	m.Helper()
	paths := []string{}
	m.OK(digestlist.WalkTLV(m.Body(list), func(_ digestlist.Algo, _, path []byte) error {
		paths = append(paths, string(path))
		return nil
	}))
	slices.Sort(paths)
	return paths
}

// has wants exactly these files in a list.
func (m *machine) has(list string, paths ...string) {
	m.Helper()
	if got := m.files(list); !slices.Equal(got, paths) {
		m.Fatalf("list %s has %v, want %v", list, got, paths)
	}
}

// vouched waits until a file is vouched for: the directory comes first, what the
// daemon says of it an instant later.
func (m *machine) vouched(path string) {
	m.Helper()
	m.Until(path+" is vouched for", func() bool { return m.Why(path).Vouched })
}
