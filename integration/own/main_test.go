// SPDX-License-Identifier: Apache-2.0

// Package own_test makes the owner's own lists, and puts lists in order, with the
// daemon and the command line as they are shipped, on a root with rpm's database
// and real files. Nothing in it is imitated.
package own_test

import (
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
)

// programs is what is tested, with failpoints.
var programs pkgtest.Programs

func TestMain(m *testing.M) {
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		programs, err = pkgtest.BuildPrograms(s.Dir, "failpoint")
		return err
	})
}

// machine is a root with a daemon that keeps its lists.
type machine struct{ *pkgtest.Machine }

// start makes a machine whose daemon runs.
func start(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Start()
	return m
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{pkgtest.NewMachine(t, programs, t.TempDir())}
}

// decode runs digestctl for JSON.
func decode[T any](m *machine, args ...string) (v T) {
	m.Helper()
	if code := m.JSON(&v, args...); code != 0 {
		m.Fatalf("digestctl %q: exit code %d", args, code)
	}
	return v
}

// update makes one own list again and returns what became of it.
func (m *machine) update(names ...string) api.OwnResult {
	m.Helper()
	doc := decode[struct{ Lists []api.OwnResult }](m, append([]string{"own", "update"}, names...)...)
	if len(doc.Lists) != 1 {
		m.Fatalf("own update: %+v", doc)
	}
	return doc.Lists[0]
}
