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
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // rpm's database is changed as nobody should
)

// database opens rpm's database for the length of fn.
func (m *machine) database(fn func(db *sql.DB) error) {
	m.Helper()
	db, err := sql.Open("sqlite", m.path("root", "var", "lib", "rpm", "rpmdb.sqlite"))
	if err != nil {
		m.Fatal(err)
	}
	if err := fn(db); err != nil {
		m.Fatal(err)
	}
	if err := db.Close(); err != nil {
		m.Fatal(err)
	}
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
	return strings.Count(m.log.String(), "lists in step with") + strings.Count(m.log.String(), "sync failed")
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
			m.mustRPM("-U", m.mustBuild("good-1-1.noarch"), m.mustBuild("bad-1-1.noarch"))
			m.eventually("tlv-bad-0:1-1.noarch", "tlv-good-0:1-1.noarch")
			hnum, blob := m.blobOf("bad")
			m.setBlob(hnum, harm(blob))
			if text := m.awaitProblem("packages"); !strings.Contains(text, "bad (header ") {
				t.Errorf("the package is not named: %s", text)
			}
			m.eventually("tlv-good-0:1-1.noarch")
			before := m.syncs()
			time.Sleep(4 * time.Second)
			if n := m.syncs() - before; n > 2 {
				t.Errorf("%d comparisons in 4 s, though nothing changed", n)
			}
			m.mustRPM("-U", m.mustBuild("later-1-1.noarch"))
			m.eventually("tlv-good-0:1-1.noarch", "tlv-later-0:1-1.noarch")
			m.setBlob(hnum, blob)
			m.eventually("tlv-bad-0:1-1.noarch", "tlv-good-0:1-1.noarch", "tlv-later-0:1-1.noarch")
			m.solved("packages")
		})
	}
}

// A header whose region has the tag of rpm 3 has no signature. Its package is
// named, and nobody is asked to mend what cannot be.
func TestHeaderOfOldRPM(t *testing.T) {
	m := start(t)
	m.mustRPM("-U", m.mustBuild("good-1-1.noarch"), m.mustBuild("ancient-1-1.noarch"))
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
	if text := m.awaitProblem("old-headers"); !strings.Contains(text, "ancient-1-1.noarch") {
		t.Errorf("the package is not named: %s", text)
	}
	m.eventually("tlv-good-0:1-1.noarch")
	m.mustCtl("status")
}

// One version installed twice, from two builds: status names it.
func TestVersionInstalledTwice(t *testing.T) {
	m := start(t)
	pkg := m.mustBuild("double-1-1.noarch", "/opt/double=1")
	m.mustRPM("-U", pkg)
	m.eventually("tlv-double-0:1-1.noarch")
	_, first := m.blobOf("double")
	m.mustRPM("-U", "--replacepkgs", "--force", m.mustBuild("double-1-1.noarch", "/opt/double=2"))
	m.database(func(db *sql.DB) error {
		_, err := db.Exec("INSERT INTO Packages (blob) VALUES (?)", first)
		return err
	})
	if text := m.awaitProblem("twice"); !strings.Contains(text, "double-1-1.noarch") {
		t.Errorf("the package is not named: %s", text)
	}
	m.eventually("tlv-double-0:1-1.noarch")
	m.database(func(db *sql.DB) error {
		_, err := db.Exec("DELETE FROM Packages WHERE hnum = (SELECT max(hnum) FROM Packages)")
		return err
	})
	m.solved("twice")
}

// rpm that writes to another database than digestd follows is not passed over.
func TestTwoDatabases(t *testing.T) {
	m := start(t)
	m.mustRPM("-U", m.mustBuild("ours-1-1.noarch"))
	if err := os.MkdirAll(m.path("root", "usr", "lib", "sysimage"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(m.path("root", "usr", "lib", "sysimage", "rpm"), os.DirFS(m.path("root", "var", "lib", "rpm"))); err != nil {
		t.Fatal(err)
	}
	m.define = []string{"_dbpath /usr/lib/sysimage/rpm"}
	m.mustRPM("-U", m.mustBuild("theirs-1-1.noarch"))
	if text := m.awaitProblem("database"); !strings.Contains(text, "/usr/lib/sysimage/rpm") || !strings.Contains(text, "/var/lib/rpm") {
		t.Errorf("the databases are not named: %s", text)
	}
	m.define = nil
	m.mustRPM("-e", "ours")
	m.solved("database")
}

// Hooks that cannot be served are in status, and leave it.
func TestHooksNotServed(t *testing.T) {
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		m := start(t)
		for range 70 {
			c, err := net.Dial("unix", m.path("run", "hook.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		m.awaitProblem("hooks")
		m.solved("hooks") // those that said nothing were sent away
	})
	t.Run("no descriptor", func(t *testing.T) {
		t.Parallel()
		m := start(t)
		m.mustCtl("status")
		m.mustRPM("-U", m.mustBuild("before-1-1.noarch"))
		pid := m.daemon.Process.Pid
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
		c, err := net.Dial("unix", m.path("run", "hook.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		m.awaitProblem("hooks")
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil); err != nil {
			t.Fatal(err)
		}
		m.solved("hooks")
		m.mustRPM("-U", m.mustBuild("after-1-1.noarch"))
		m.converged(0)
	})
}
