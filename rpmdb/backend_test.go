// SPDX-License-Identifier: Apache-2.0

package rpmdb_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/rpmdb"
)

// The remedy for a Berkeley DB depends on the rpm of the machine.
func TestBerkeleyAdvice(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string // of macros
		backend string
		advice  string
	}{
		"rpm 4.14":             {map[string]string{"usr/lib/rpm/macros": "%_dbpath /var/lib/rpm\n"}, "", "needs rpm 4.16"},
		"rpm that writes bdb":  {map[string]string{"usr/lib/rpm/macros": "%_db_backend\t      bdb\n"}, "bdb", "would not convert it"},
		"rpm of a current one": {map[string]string{"usr/lib/rpm/macros": "%_db_backend\t      sqlite\n"}, "sqlite", "rpmdb --rebuilddb"},
		"set by a vendor":      {map[string]string{"usr/lib/rpm/macros": "%_db_backend bdb\n", "usr/lib/rpm/macros.d/macros.suse": "%_db_backend ndb\n"}, "ndb", "rpmdb --rebuilddb"},
		"set by the owner":     {map[string]string{"usr/lib/rpm/macros": "%_db_backend sqlite\n", "etc/rpm/macros": "%_db_backend bdb\n"}, "bdb", "would not convert it"},
		"a comment":            {map[string]string{"usr/lib/rpm/macros": "# %_db_backend bdb\n%_db_backend_x y\n"}, "", "needs rpm 4.16"},
		"no rpm":               {nil, "", "needs rpm 4.16"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, content := range test.files {
				file = filepath.Join(root, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if got := rpmdb.BackendOf(root); got != test.backend {
				t.Errorf("backend is %q, want %q", got, test.backend)
			}
			if got := rpmdb.BerkeleyAdvice(root); !strings.Contains(got, test.advice) {
				t.Errorf("advice is %q, want %q in it", got, test.advice)
			}
		})
	}
}

// Macros are the root's own, wherever its links point, and no FIFO is waited for.
func TestBackendStaysBelowRoot(t *testing.T) {
	dir := t.TempDir()
	root, outside := filepath.Join(dir, "root"), filepath.Join(dir, "macros")
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "usr/lib/rpm"), 0o755), os.WriteFile(outside, []byte("%_db_backend bdb\n"), 0o644),
		os.Symlink(outside, filepath.Join(root, "usr/lib/rpm/macros"))); err != nil {
		t.Fatal(err)
	}
	if got := rpmdb.BackendOf(root); got != "" {
		t.Errorf("read outside of the root: %q", got)
	}
}

// A Berkeley DB is told from no database.
func TestBerkeleyDB(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "var/lib/rpm")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "Packages"), []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := rpmdb.Locate(root); !errors.Is(err, rpmdb.ErrBerkeleyDB) || errors.Is(err, rpmdb.ErrNoDatabase) {
		t.Errorf("Locate: %v", err)
	}
	if _, err := rpmdb.Open(dir); !errors.Is(err, rpmdb.ErrBerkeleyDB) {
		t.Errorf("Open: %v", err)
	}
}
