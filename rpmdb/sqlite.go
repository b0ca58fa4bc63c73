// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout bounds the wait for another process that recovers or rebuilds the
// log. Readers wait for nothing else.
const busyTimeout = 5 * time.Second

// cacheSize bounds what sqlite keeps of a database's pages, in KiB. A pass reads each once,
// and what they took stays with the process after that.
const cacheSize = 128

// A header above maxBlob arrives as NULL, which is an empty one: sqlite knows its
// length without reading it. No ORDER BY costs more than the walk along the primary key; where
// sqlite sorted the rows, it could call takeFunction before that.
const (
	queryAll = `SELECT ` + takeFunction + `(?, hnum, CASE WHEN length(blob) <= ? THEN blob END) FROM Packages
		WHERE hnum > ? ORDER BY hnum`
	queryNamed = `SELECT hnum, CASE WHEN length(blob) <= ? THEN blob END FROM Packages
		WHERE hnum > ? AND hnum IN (SELECT hnum FROM Name WHERE key = ?) ORDER BY hnum`
	queryTables = `SELECT count(CASE WHEN type = 'table' AND lower(name) = 'packages' THEN 1 END), count(CASE WHEN type <> 'table' THEN 1 END)
		FROM pragma_table_list WHERE schema = 'main' AND lower(name) IN ('packages', 'name')`
	queryComputed = `SELECT count(*) FROM (SELECT hidden FROM pragma_table_xinfo('Packages') UNION ALL SELECT hidden FROM pragma_table_xinfo('Name'))
		WHERE hidden <> 0`
	queryName = `SELECT key FROM Name WHERE hnum = ? LIMIT 1`
)

type sqliteSource struct {
	path      string
	pool      *sql.DB
	conn      *sql.Conn
	name      string // "": all
	immutable bool
	stamp     Stamp // while immutable
}

func openSQLite(ctx context.Context, path, name string) (*sqliteSource, error) {
	s := &sqliteSource{path: path, name: name}
	err := s.connect(ctx, "")
	if err == nil {
		return s, nil
	}
	if !cannotShare(err) {
		return nil, err
	}
	// Without a writable directory or existing -shm and -wal files a log cannot
	// be read. That is no loss if there is nothing in it.
	stamp, serr := stampSQLite(path)
	if serr != nil {
		return nil, serr
	}
	if stamp.log != (fileStamp{}) {
		return nil, fmt.Errorf("%w (the write-ahead log %s-wal is in use and cannot be shared; try as root)", err, path)
	}
	s.immutable, s.stamp = true, stamp
	if err := s.connect(ctx, "&immutable=1"); err != nil {
		return nil, err
	}
	if err := s.unchanged(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// connect opens the database and reads from it once, since sqlite looks at the
// log no sooner.
func (s *sqliteSource) connect(ctx context.Context, options string) (err error) {
	u := url.URL{Scheme: "file", Path: s.path}
	dsn := fmt.Sprintf("%s?mode=ro%s&_pragma=busy_timeout(%d)&_pragma=cache_size(-%d)&_pragma=trusted_schema(0)",
		u.String(), options, busyTimeout.Milliseconds(), cacheSize)
	if s.pool, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	if s.conn, err = s.pool.Conn(ctx); err == nil {
		err = plainTables(ctx, s.conn)
	}
	if err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// plainTables refuses a database whose tables are computed: by a view, a virtual table, or a
// generated column, which an image can make endless.
func plainTables(ctx context.Context, conn *sql.Conn) error {
	var packages, others, columns int
	err := conn.QueryRowContext(ctx, queryTables).Scan(&packages, &others)
	if err == nil {
		err = conn.QueryRowContext(ctx, queryComputed).Scan(&columns)
	}
	switch {
	case err != nil:
		return err
	case others > 0 || columns > 0:
		return errors.New("its tables are none that rpm makes")
	case packages != 1:
		return errors.New("it has no table of packages")
	}
	return nil
}

// cannotShare reports whether sqlite lacks the means to read along with rpm.
func cannotShare(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff
	return code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_READONLY
}

func (s *sqliteSource) read(ctx context.Context, after uint32, b *batch) error {
	query, args, next := queryNamed, []any{maxBlob, after, s.name}, scan
	if s.name == "" {
		number, done := takers.register(b)
		defer done()
		query, args, next = queryAll, []any{number, maxBlob, after}, taken
	}
	rows, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	// Close ends the read transaction.
	err = errors.Join(fill(rows, b, next), rows.Close())
	if err == nil && s.immutable {
		err = s.unchanged()
	}
	return err
}

// fill calls next for each row, until b is full.
func fill(rows *sql.Rows, b *batch, next func(*sql.Rows, *batch) error) error {
	for !b.full() && rows.Next() {
		if err := next(rows, b); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scan adds the header of a row of queryNamed.
func scan(rows *sql.Rows, b *batch) error {
	var hnum int64
	var blob sql.RawBytes
	if err := rows.Scan(&hnum, &blob); err != nil {
		return err
	}
	return b.take(hnum, blob)
}

// taken has nothing to do: takeFunction has added the header.
func taken(*sql.Rows, *batch) error { return nil }

// takeFunction is a function for SQL that adds a header to a batch, given by its number in takers.
// Its arguments lie in sqlite's memory, while the driver copies each value of a row into new memory:
// 30 MB for 800 packages.
const takeFunction = "digestd_take"

func init() {
	sqlite.MustRegisterFunction(takeFunction, &sqlite.FunctionImpl{NArgs: 3, VolatileArgs: true,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			number, _ := args[0].(int64)
			hnum, _ := args[1].(int64)
			blob, _ := args[2].([]byte)
			if text, ok := args[2].(string); ok { // rpm reads that, too
				blob = []byte(text)
			}
			return nil, takers.take(number, hnum, blob)
		}})
}

// takers are the batches that are being filled.
var takers batches

type batches struct {
	mu   sync.Mutex
	last int64
	of   map[int64]*batch
}

// register gives b a number until done is called.
func (t *batches) register(b *batch) (number int64, done func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[int64]*batch{}
	}
	t.last++
	number = t.last
	t.of[number] = b
	return number, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.of, number)
	}
}

func (t *batches) take(number, hnum int64, blob []byte) error {
	t.mu.Lock()
	b := t.of[number]
	t.mu.Unlock()
	switch {
	case b == nil:
		return fmt.Errorf("nobody fills batch %d", number)
	case b.full(): // sqlite goes on because it sorts them first, as in no table that rpm makes
		return errors.New("its headers come in no order")
	}
	return b.take(hnum, blob)
}

// nameOf asks the index of names, which says what a header was before it could
// not be read.
func (s *sqliteSource) nameOf(ctx context.Context, hnum uint32) (name string, err error) {
	err = s.conn.QueryRowContext(ctx, queryName, hnum).Scan(&name)
	return name, err
}

// unchanged makes sure that an immutable file is.
func (s *sqliteSource) unchanged() error {
	now, err := stampSQLite(s.path)
	if err != nil {
		return err
	}
	if now != s.stamp {
		return errors.New("it changed while it was read without its log")
	}
	return nil
}

func (s *sqliteSource) close() error {
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	return errors.Join(err, s.pool.Close())
}
