// SPDX-License-Identifier: Apache-2.0

package databases_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/rpmdb"
	_ "modernc.org/sqlite" // the database is damaged as rpm would not
)

// damage makes the header of a package one that cannot be read, and leaves the rest
// of the database as it is.
func damage(t *testing.T, p *place, name string) {
	t.Helper()
	if file := filepath.Join(p.database(), "Packages.db"); exists(file) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(data, []byte("\x00"+name+"\x00"))
		if at < 0 {
			t.Fatalf("no header of %s in %s", name, file)
		}
		data[at+1] ^= 0xff // which its checksum tells
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	db, err := sql.Open("sqlite", filepath.Join(p.database(), "rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE Packages SET blob = zeroblob(?) WHERE hnum = (SELECT hnum FROM Name WHERE key = ?)", 257<<20, name); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// One header that the database does not have whole, or that is larger than any of
// rpm's, keeps no other from being read.
func TestDamagedHeader(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, format, 3)
			damage(t, p, "p1")
			db, err := rpmdb.Open(p.database())
			if err != nil {
				t.Fatal(err)
			}
			whole, damaged := 0, []uint32{}
			err = db.Headers(t.Context(), func(hnum uint32, blob []byte) error {
				if len(blob) == 0 {
					damaged = append(damaged, hnum)
				} else {
					whole++
				}
				return nil
			})
			if err != nil || whole != 3 || len(damaged) != 1 { // two packages, and the key
				t.Fatalf("%d headers are whole, %v are damaged (%v)", whole, damaged, err)
			}
			want := ""
			if format == rpmdb.KindSQLite {
				want = "p1"
			}
			if name := db.NameOf(t.Context(), damaged[0]); name != want {
				t.Errorf("its name is %q, want %q", name, want)
			}
			// The key is read. That none is missing only the index of names can tell.
			certs, bad, err := rpmdb.Certs(t.Context(), db)
			if err != nil || len(certs) != 1 || (len(bad) == 0) != (format == rpmdb.KindSQLite) {
				t.Errorf("%d keys are left, %v, %v", len(certs), bad, err)
			}
		})
	}
}
