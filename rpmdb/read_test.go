// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// madeByRPM is a database that rpm made, with these packages and the key of a vendor.
func madeByRPM(t *testing.T, names ...string) (dir string, vendor *pkgtest.Key) {
	t.Helper()
	dir = t.TempDir()
	root := &pkgtest.Root{Dir: "/", Macros: []string{"_dbpath " + dir}}
	vendor, err := pkgtest.NewKey("vendor", 2048)
	if err == nil {
		err = root.Run("--initdb")
	}
	if err == nil {
		err = root.Import(vendor)
	}
	args := []string{"-i", "--justdb", "--nodeps", "--noplugins", "--force"}
	for _, name := range names {
		p := pkgtest.Package{Name: name, Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/opt/" + name: name}, Key: vendor}
		file, buildErr := p.Build(t.TempDir())
		err = errors.Join(err, buildErr)
		args = append(args, file)
	}
	if err == nil && len(names) > 0 {
		err = root.Run(args...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, vendor
}

// names are those of the packages that a pass over the database comes by.
func names(t *testing.T, db *DB) (all []string) {
	t.Helper()
	last := uint32(0)
	if err := db.Headers(t.Context(), func(hnum uint32, blob []byte) error {
		if hnum <= last {
			t.Errorf("header %d after %d", hnum, last)
		}
		last = hnum
		h, err := header.Parse(bytes.Clone(blob))
		if err != nil {
			return err
		}
		name, err := h.String(header.TagName)
		all = append(all, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSQLite(t *testing.T) {
	dir, vendor := madeByRPM(t, "one", "two", "three")
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if db.Kind() != KindSQLite || db.Dir() != dir {
		t.Errorf("it is a %s in %s", db.Kind(), db.Dir())
	}
	got := names(t, db)
	slices.Sort(got)
	if want := []string{"gpg-pubkey", "one", "three", "two"}; !slices.Equal(got, want) {
		t.Errorf("it has %q, want %q", got, want)
	}
	found := uint32(0)
	if err := db.Named(t.Context(), "two", func(hnum uint32, _ []byte) error { found = hnum; return nil }); err != nil || found == 0 {
		t.Errorf("two is header %d, %v", found, err)
	}
	if got := db.NameOf(t.Context(), found); got != "two" {
		t.Errorf("header %d is of %q", found, got)
	}
	if got := db.NameOf(t.Context(), 4711); got != "" {
		t.Errorf("no header is of %q", got)
	}
	certs, bad, err := Certs(t.Context(), db)
	if err != nil || len(bad) > 0 || len(certs) != 1 || certs[0].Fingerprint != vendor.Fingerprint() || !strings.HasPrefix(certs[0].Source, "gpg-pubkey-") {
		t.Errorf("keys are %+v, %v, %v", certs, bad, err)
	}
	stop := errors.New("enough")
	if err := db.Headers(t.Context(), func(uint32, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it went on after %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Headers(ctx, func(uint32, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
}

// TestRows: a pass brings what rpm would read of each row, whatever its type, over as many batches
// as it takes, and passes at the same time do not mix.
func TestRows(t *testing.T) {
	dir := t.TempDir()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqliteFile))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := raw.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)`)
	want := map[uint32]string{1: "blob", 2: "text", 3: "", 7: ""}
	exec(`INSERT INTO Packages VALUES (1, CAST('blob' AS BLOB)), (2, 'text'), (3, x''), (7, 4711)`)
	for n := range uint32(5) {
		want[100+n] = strings.Repeat(string(rune('a'+n)), 700_000)
		exec(`INSERT INTO Packages VALUES (?, ?)`, 100+n, []byte(want[100+n]))
	}
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			got := map[uint32]string{}
			err := db.Headers(t.Context(), func(hnum uint32, blob []byte) error { got[hnum] = string(blob); return nil })
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%d headers, %v; want %d", len(got), err, len(want))
			}
		})
	}
	group.Wait()
	if len(takers.of) > 0 {
		t.Errorf("%d batches are kept", len(takers.of))
	}
	exec(`INSERT INTO Packages VALUES (5000000000, x'00')`)
	if err := db.Headers(t.Context(), func(uint32, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "header has number 5000000000") {
		t.Errorf("a number that rpm cannot have: %v", err)
	}
	if _, err := raw.ExecContext(t.Context(), `SELECT `+takeFunction+`(1, 1, x'00')`); err == nil || !strings.Contains(err.Error(), "nobody fills batch 1") {
		t.Errorf("a batch that nobody fills: %v", err)
	}
}

// TestSortedRows: sqlite has to sort the rows of a table that rpm would not make, and hands out all
// of them before that. No batch takes more than it holds.
func TestSortedRows(t *testing.T) {
	dir := t.TempDir()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqliteFile))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), `CREATE TABLE Packages (hnum INTEGER, blob BLOB)`); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if _, err := raw.ExecContext(t.Context(), `INSERT INTO Packages VALUES (?, zeroblob(700000))`, 20-n); err != nil {
			t.Fatal(err)
		}
	}
	src, err := openSQLite(t.Context(), filepath.Join(dir, sqliteFile), "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	var b batch
	if err := src.read(t.Context(), 0, &b); err == nil || !strings.Contains(err.Error(), "come in no order") || len(b.items) > 2 {
		t.Errorf("a batch of %d headers, %v", len(b.items), err)
	}
}

// A stamp stays as long as nothing is written, and no longer.
func TestStamp(t *testing.T) {
	dir, _ := madeByRPM(t, "one")
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := db.Stamp()
	if err != nil {
		t.Fatal(err)
	}
	names(t, db)
	if after, err := db.Stamp(); err != nil || after != before {
		t.Errorf("reading changes it: %+v, %v", after, err)
	}
	time.Sleep(20 * time.Millisecond) // longer than the clock of a file system ticks
	root := &pkgtest.Root{Dir: "/", Macros: []string{"_dbpath " + dir}}
	if err := root.Run("-e", "--justdb", "--noplugins", "one"); err != nil {
		t.Fatal(err)
	}
	if after, err := db.Stamp(); err != nil || after == before {
		t.Errorf("an erasure does not change it: %v", err)
	}
	if one := StampOf(1); one == StampOf(2) || one != StampOf(1) {
		t.Error("stamps of numbers are not what their numbers are")
	}
	if err := os.Remove(filepath.Join(dir, sqliteFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Stamp(); err == nil {
		t.Error("what is gone has a stamp")
	}
}

func TestDamagedSQLite(t *testing.T) {
	for what, content := range map[string]string{"text": strings.Repeat("no database\n", 1000), "empty": ""} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, sqliteFile), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Headers(t.Context(), func(uint32, []byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "cannot read the rpm database in "+dir) {
			t.Errorf("%s: %v", what, err)
		}
		if name := db.NameOf(t.Context(), 1); name != "" {
			t.Errorf("%s has a header of %q", what, name)
		}
	}
}

// A database of an image may compute what it says: without an end, or without a limit.
func TestComputedSQLite(t *testing.T) {
	const endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM t) SELECT x AS hnum, 'gpg-pubkey' AS key, x'00' AS blob FROM t"
	const packages, name = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)", "CREATE TABLE Name (key TEXT, hnum INTEGER, idx INTEGER)"
	for what, schema := range map[string]string{
		"packages that are a view": "CREATE VIEW Packages AS " + endless + ";" + name,
		"names that are a view":    packages + "; CREATE VIEW Name AS " + endless,
		"names whose record is that of a table": packages + "; CREATE VIEW other AS " + endless + `; PRAGMA writable_schema = 1;
			UPDATE sqlite_schema SET type = 'table', name = 'Name', tbl_name = 'Name', sql = replace(sql, 'other', 'nAme') WHERE name = 'other'`,
		"a generated blob": "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob AS (zeroblob(200000000)));" + name,
		"a virtual table":  packages + "; CREATE VIRTUAL TABLE Name USING fts5(key, hnum)",
	} {
		dir := t.TempDir()
		c, err := sql.Open("sqlite", filepath.Join(dir, sqliteFile))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Exec(schema); err != nil {
			t.Fatal(what, err)
		}
		c.Close()
		db, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for _, read := range []func() error{
			func() error { return db.Headers(ctx, func(uint32, []byte) error { return nil }) },
			func() error { return db.Named(ctx, "gpg-pubkey", func(uint32, []byte) error { return nil }) },
		} {
			if err := read(); err == nil || !strings.Contains(err.Error(), "its tables are none that rpm makes") && !strings.Contains(err.Error(), "malformed") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// ndb lays a database of rpm's ndb format out (lib/backend/ndb/rpmpkg.c): slots in
// pages, then blobs in blocks of 16 bytes, each between a head and a tail.
func ndb(blobs map[uint32][]byte) []byte {
	file := make([]byte, ndbPageSize)
	copy(file, ndbMagic)
	put := func(at int, n uint32) { binary.LittleEndian.PutUint32(file[at:], n) }
	put(8, 1)
	put(12, 1)
	for at := ndbHeaderSize; at < ndbPageSize; at += ndbSlotSize {
		copy(file[at:], ndbSlotMagic)
	}
	at := ndbHeaderSize
	for _, pkg := range slices.Backward(slices.Sorted(keysOf(blobs))) { // not in their order
		blob := blobs[pkg]
		blocks := (ndbHeadSize + len(blob) + ndbTailSize + ndbBlockSize - 1) / ndbBlockSize
		put(at+4, pkg)
		put(at+8, uint32(len(file)/ndbBlockSize))
		put(at+12, uint32(blocks))
		at += ndbSlotSize
		entry := make([]byte, blocks*ndbBlockSize)
		copy(entry, ndbHeadMagic)
		binary.LittleEndian.PutUint32(entry[4:], pkg)
		binary.LittleEndian.PutUint32(entry[8:], 1)
		binary.LittleEndian.PutUint32(entry[12:], uint32(len(blob)))
		copy(entry[ndbHeadSize:], blob)
		tail := entry[len(entry)-ndbTailSize:]
		binary.LittleEndian.PutUint32(tail, adler32.Checksum(entry[:len(entry)-ndbTailSize]))
		binary.LittleEndian.PutUint32(tail[4:], uint32(len(blob)))
		copy(tail[8:], ndbTailMagic)
		file = append(file, entry...)
	}
	return file
}

func keysOf(blobs map[uint32][]byte) func(func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for k := range blobs {
			if !yield(k) {
				return
			}
		}
	}
}

func TestNDB(t *testing.T) {
	blobs := map[uint32][]byte{}
	for i := range uint32(20) {
		blobs[3*i+1] = bytes.Repeat([]byte{byte(i)}, int(i)*7+1)
	}
	good := ndb(blobs)
	// read is what a pass comes by; a header that cannot be read is empty.
	read := func(t *testing.T, file []byte) (map[uint32][]byte, error) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ndbFile), file, 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := Open(dir)
		if err != nil || db.Kind() != KindNDB {
			t.Fatal(db, err)
		}
		if _, err := db.Stamp(); err != nil {
			t.Error(err)
		}
		if name := db.NameOf(t.Context(), 1); name != "" {
			t.Errorf("it tells names: %q", name)
		}
		got := map[uint32][]byte{}
		return got, db.Headers(t.Context(), func(hnum uint32, blob []byte) error { got[hnum] = bytes.Clone(blob); return nil })
	}
	same := func(t *testing.T, got map[uint32][]byte, except uint32) {
		t.Helper()
		if len(got) != len(blobs) {
			t.Errorf("%d headers, want %d", len(got), len(blobs))
		}
		for pkg, blob := range blobs {
			if want := blob; pkg == except {
				if len(got[pkg]) > 0 {
					t.Errorf("header %d is damaged and has %d bytes", pkg, len(got[pkg]))
				}
			} else if !bytes.Equal(got[pkg], want) {
				t.Errorf("header %d is %x, want %x", pkg, got[pkg], want)
			}
		}
	}
	got, err := read(t, good)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, 0)
	// One header costs none of the others.
	last := uint32(1) // its blob is the last in the file
	for what, harm := range map[string]func(entry []byte){
		"content":  func(e []byte) { e[ndbHeadSize] ^= 1 },
		"magic":    func(e []byte) { e[0] ^= 1 },
		"number":   func(e []byte) { e[4] ^= 0x40 },
		"size":     func(e []byte) { e[15] = 0x7f },
		"checksum": func(e []byte) { e[len(e)-ndbTailSize] ^= 1 },
		"tail":     func(e []byte) { e[len(e)-1] ^= 1 },
	} {
		t.Run(what, func(t *testing.T) {
			file := bytes.Clone(good)
			harm(file[len(file)-2*ndbBlockSize:])
			got, err := read(t, file)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, last)
		})
	}
	// A file that is wrong as a whole is no database.
	for what, harm := range map[string]func(file []byte) []byte{
		"it is not an ndb file":     func(f []byte) []byte { f[0] = 'X'; return f },
		"it has version 7, want 0":  func(f []byte) []byte { f[4] = 7; return f },
		"pages of slots in":         func(f []byte) []byte { f[13] = 0xff; return f },
		"no slot at 32":             func(f []byte) []byte { f[32] = 'X'; return f },
		"slot at 32 has no package": func(f []byte) []byte { clear(f[36:40]); return f },
		"overlaps what precedes it": func(f []byte) []byte { copy(f[40:44], f[56:60]); return f },
		"the file to ":              func(f []byte) []byte { return f[:len(f)-ndbBlockSize] },
		"unexpected EOF":            func(f []byte) []byte { return f[:20] },
	} {
		if _, err := read(t, harm(bytes.Clone(good))); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %q", err, what)
		}
	}
}

// While rpm writes, a reader waits, and not for ever.
func TestNDBIsLocked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ndbFile)
	if err := os.WriteFile(path, ndb(map[uint32][]byte{1: []byte("one")}), 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.Headers(ctx, func(uint32, []byte) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a locked database: %v", err)
	}
	fd := int(f.Fd())
	time.AfterFunc(20*time.Millisecond, func() { unix.Flock(fd, unix.LOCK_UN) })
	n := 0
	if err := db.Headers(t.Context(), func(uint32, []byte) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d headers once it was free, %v", n, err)
	}
}

// Certificates lie in directories in several forms. A file that is no certificate is named,
// and costs none of the others.
func TestKeysInDirectories(t *testing.T) {
	dir, vendor := madeByRPM(t)
	other, err := pkgtest.NewKey("other", 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, pubKeyDir)
	for name, content := range map[string][]byte{
		"gpg-pubkey-1.key": other.Armor, "bad.key": []byte("no key"), "ignored.txt": []byte("no key"), "large.key": make([]byte, maxCertFile+1),
		"ab/" + fmt.Sprintf("%038x", 7): other.Armor, "ab/" + fmt.Sprintf("%037x", 7): []byte("ignored"), "zz/" + fmt.Sprintf("%038x", 7): []byte("ignored"),
	} {
		path := filepath.Join(keys, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(keys, "fifo.key"), 0o644); err != nil { // which keeps nobody waiting
		t.Fatal(err)
	}
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	certs, bad, err := Certs(t.Context(), db)
	var got []string
	for _, c := range certs {
		got = append(got, c.Fingerprint)
	}
	if want := []string{vendor.Fingerprint(), other.Fingerprint(), other.Fingerprint()}; err != nil || !slices.Equal(got, want) {
		t.Errorf("keys are %q, %v, want %q", got, err, want)
	}
	said := errors.Join(bad...)
	for _, want := range []string{"bad.key", "large.key: larger than", "fifo.key: not a regular file"} {
		if said == nil || !strings.Contains(said.Error(), want) {
			t.Errorf("nobody says %q: %v", want, said)
		}
	}
	if len(bad) != 3 {
		t.Errorf("%d are bad: %v", len(bad), said)
	}
	trusted := t.TempDir()
	for name, key := range map[string]*pkgtest.Key{"a.asc": vendor, "b.gpg": other, "c.txt": other} {
		if err := os.WriteFile(filepath.Join(trusted, name), key.Armor, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if certs, bad := CertsDir(trusted); len(certs) != 2 || len(bad) != 0 || certs[0].Source != filepath.Join(trusted, "a.asc") {
		t.Errorf("a directory has %d certificates, %v", len(certs), bad)
	}
	if certs, bad := CertsDir(filepath.Join(trusted, "absent")); len(certs)+len(bad) != 0 {
		t.Errorf("no directory has %d certificates, %v", len(certs), bad)
	}
	if certs, bad := CertsDir(filepath.Join(trusted, "a.asc")); len(certs) != 0 || len(bad) != 1 {
		t.Errorf("a file is a directory with %d certificates, %v", len(certs), bad)
	}
}

// A package that is called like a key is none.
func TestPackageThatClaimsToBeAKey(t *testing.T) {
	dir, vendor := madeByRPM(t, "gpg-pubkey")
	db, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	certs, bad, err := Certs(t.Context(), db)
	if err != nil || len(certs) != 1 || certs[0].Fingerprint != vendor.Fingerprint() || len(bad) != 1 || !errors.Is(bad[0], ErrNoKey) {
		t.Errorf("keys are %d, %v, %v", len(certs), bad, err)
	}
}
