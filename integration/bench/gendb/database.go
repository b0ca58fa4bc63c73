// SPDX-License-Identifier: Apache-2.0

package gendb

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// Database is a small database as rpm leaves one, which can be made to hold other
// headers at any time.
type Database struct {
	db   *sql.DB
	next int // number of a header; it never comes back
}

// NewDatabase makes an empty database in dir, which may have none.
func NewDatabase(dir string) (*Database, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "rpmdb.sqlite")+"?_pragma=busy_timeout(10000)") // digestd may read it
	if err != nil {
		return nil, err
	}
	_, err = db.Exec(`PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;
		CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);
		CREATE TABLE Name (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)`)
	return &Database{db: db, next: 1}, err
}

// Close closes the database; its file stays.
func (d *Database) Close() error { return d.db.Close() }

// Replace makes the database hold what fill adds, each by its name.
func (d *Database) Replace(fill func(add func(name string, blob []byte)) error) (err error) {
	tx, err := d.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`DELETE FROM Packages; DELETE FROM Name`); err != nil {
		return err
	}
	add := func(name string, blob []byte) {
		d.next++
		_, e1 := tx.Exec(`INSERT INTO Packages (hnum, blob) VALUES (?, ?)`, d.next, blob)
		_, e2 := tx.Exec(`INSERT INTO Name (key, hnum, idx) VALUES (?, ?, 0)`, name, d.next)
		err = errors.Join(err, e1, e2)
	}
	if ferr := fill(add); ferr != nil {
		return ferr
	}
	return errors.Join(err, tx.Commit())
}
