// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // rpm's database is changed as nobody should
)

// database opens rpm's database for the length of fn.
func (m *machine) database(fn func(db *sql.DB) error) {
	m.Helper()
	db, err := sql.Open("sqlite", m.In("root", "var", "lib", "rpm", "rpmdb.sqlite"))
	m.OK(err)
	m.OK(fn(db))
	m.OK(db.Close())
}

// blobOf returns the header of a package and its number.
func (m *machine) blobOf(name string) (hnum int64, blob []byte) {
	m.Helper()
	m.database(func(db *sql.DB) error {
		return db.QueryRow("SELECT hnum, blob FROM Packages WHERE hnum = (SELECT hnum FROM Name WHERE key = ?)", name).Scan(&hnum, &blob)
	})
	return hnum, blob
}

func (m *machine) setBlob(hnum int64, blob []byte) {
	m.Helper()
	m.database(func(db *sql.DB) error {
		_, err := db.Exec("UPDATE Packages SET blob = ? WHERE hnum = ?", blob, hnum)
		return err
	})
}

// syncs is how often lists were compared with rpm's database.
func (m *machine) syncs() int {
	return strings.Count(m.Log(), "lists in step with") + strings.Count(m.Log(), "sync failed")
}

// One header that cannot be read costs its package the list, is named, and has
// digestd compare neither all the time nor never again.
func TestHeaderUnreadable(t *testing.T) {
	for name, harm := range map[string]func(blob []byte) []byte{
		"empty":     func([]byte) []byte { return []byte{} },
		"cut":       func(blob []byte) []byte { return blob[:len(blob)/2] },
		"garbage":   func(blob []byte) []byte { return bytes.Repeat([]byte{0xff}, len(blob)) },
		"no number": func(blob []byte) []byte { return append(bytes.Clone(blob), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t)
			m.RPM("-U", m.build("good-1-1.noarch"), m.build("bad-1-1.noarch"))
			m.WantLists("tlv-bad-0:1-1.noarch", "tlv-good-0:1-1.noarch")
			hnum, blob := m.blobOf("bad")
			m.setBlob(hnum, harm(blob))
			if text := m.AwaitProblem("packages"); !strings.Contains(text, "bad (header ") {
				t.Errorf("the package is not named: %s", text)
			}
			m.WantLists("tlv-good-0:1-1.noarch")
			before := m.syncs()
			time.Sleep(4 * time.Second)
			if n := m.syncs() - before; n > 2 {
				t.Errorf("%d comparisons in 4 s, though nothing changed", n)
			}
			m.RPM("-U", m.build("later-1-1.noarch"))
			m.WantLists("tlv-good-0:1-1.noarch", "tlv-later-0:1-1.noarch")
			m.setBlob(hnum, blob)
			m.WantLists("tlv-bad-0:1-1.noarch", "tlv-good-0:1-1.noarch", "tlv-later-0:1-1.noarch")
			m.Solved("packages")
		})
	}
}

// A header whose region has the tag of rpm 3 has no signature. Its package is
// named, and nobody is asked to mend what cannot be.
func TestHeaderOfOldRPM(t *testing.T) {
	m := start(t)
	m.RPM("-U", m.build("good-1-1.noarch"), m.build("ancient-1-1.noarch"))
	hnum, blob := m.blobOf("ancient")
	const immutable, image = 63, 61
	trailer := 8 + 16*int(binary.BigEndian.Uint32(blob)) + int(binary.BigEndian.Uint32(blob[8+8:]))
	for _, at := range []int{8, trailer} {
		if tag := binary.BigEndian.Uint32(blob[at:]); tag != immutable {
			t.Fatalf("tag at %d is %d", at, tag)
		}
		binary.BigEndian.PutUint32(blob[at:], image)
	}
	m.setBlob(hnum, blob)
	if text := m.AwaitProblem("old-headers"); !strings.Contains(text, "ancient-1-1.noarch") {
		t.Errorf("the package is not named: %s", text)
	}
	m.WantLists("tlv-good-0:1-1.noarch")
	m.Must("status")
}

// One version installed twice, from two builds: status names it.
func TestVersionInstalledTwice(t *testing.T) {
	m := start(t)
	pkg := m.build("double-1-1.noarch", "/opt/double=1")
	m.RPM("-U", pkg)
	m.WantLists("tlv-double-0:1-1.noarch")
	_, first := m.blobOf("double")
	m.RPM("-U", "--replacepkgs", "--force", m.build("double-1-1.noarch", "/opt/double=2"))
	m.database(func(db *sql.DB) error {
		_, err := db.Exec("INSERT INTO Packages (blob) VALUES (?)", first)
		return err
	})
	if text := m.AwaitProblem("twice"); !strings.Contains(text, "double-1-1.noarch") {
		t.Errorf("the package is not named: %s", text)
	}
	m.WantLists("tlv-double-0:1-1.noarch")
	m.database(func(db *sql.DB) error {
		_, err := db.Exec("DELETE FROM Packages WHERE hnum = (SELECT max(hnum) FROM Packages)")
		return err
	})
	m.Solved("twice")
}

// rpm that writes to another database than digestd follows is not passed over.
func TestTwoDatabases(t *testing.T) {
	m := start(t)
	m.RPM("-U", m.build("ours-1-1.noarch"))
	m.OK(os.MkdirAll(m.In("root", "usr", "lib", "sysimage"), 0o755))
	m.OK(os.CopyFS(m.In("root", "usr", "lib", "sysimage", "rpm"), os.DirFS(m.In("root", "var", "lib", "rpm"))))
	macros := m.Root.Macros
	m.Root.Macros = append(slices.Clip(macros), "_dbpath /usr/lib/sysimage/rpm")
	m.RPM("-U", m.build("theirs-1-1.noarch"))
	if text := m.AwaitProblem("database"); !strings.Contains(text, "/usr/lib/sysimage/rpm") || !strings.Contains(text, "/var/lib/rpm") {
		t.Errorf("the databases are not named: %s", text)
	}
	m.Root.Macros = macros
	m.RPM("-e", "ours")
	m.Solved("database")
}

// Hooks that cannot be served are in status, and leave it.
func TestHooksNotServed(t *testing.T) {
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		m := start(t)
		for range 70 {
			c, err := net.Dial("unix", m.In("run", "hook.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		m.AwaitProblem("hooks")
		m.Solved("hooks") // those that said nothing were sent away
	})
	t.Run("no descriptor", func(t *testing.T) {
		t.Parallel()
		m := start(t)
		m.Must("status")
		m.RPM("-U", m.build("before-1-1.noarch"))
		pid := m.PID()
		open, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd"))
		if err != nil {
			t.Fatal(err)
		}
		var old unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)) / 2, Max: old.Max}, nil); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("unix", m.In("run", "hook.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		m.AwaitProblem("hooks")
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil); err != nil {
			t.Fatal(err)
		}
		m.Solved("hooks")
		m.RPM("-U", m.build("after-1-1.noarch"))
		m.converged(0)
	})
}
