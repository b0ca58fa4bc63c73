// SPDX-License-Identifier: Apache-2.0

// Package neighbours_test lets the programs that others decide by judge what
// digestd writes for them: a real fapolicyd, a validator of Keylime's schema, and
// evmctl, which verifies signatures on files as the kernel does. The kernel itself
// judges in integration/vm.
package neighbours_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

var (
	programs pkgtest.Programs
	vendor   *pkgtest.Key
)

func TestMain(m *testing.M) {
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		if programs, err = pkgtest.BuildPrograms(s.Dir); err != nil {
			return err
		}
		vendor, err = pkgtest.NewKey("vendor", 2048)
		return err
	})
}

// machine is a root with a daemon, rpm and the key of a vendor.
type machine struct{ *pkgtest.Machine }

func newMachine(t *testing.T, config ...string) *machine {
	t.Helper()
	m := &machine{pkgtest.NewMachine(t, programs, t.TempDir(), config...)}
	m.Trust(vendor)
	return m
}

// build makes a package of these files, all of them executable.
func (m *machine) build(name, version string, files map[string]string) string {
	m.Helper()
	return m.Build(pkgtest.Package{Name: name, Version: version, Key: vendor, Files: files})
}

// lines returns the lines of a file that are no comments.
func lines(data []byte) (all []string) {
	for line := range bytes.Lines(data) {
		if line[0] != '#' {
			all = append(all, strings.TrimSuffix(string(line), "\n"))
		}
	}
	return all
}
