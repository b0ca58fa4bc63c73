// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"github.com/digestd/digestd/digestlist/header"
)

const (
	// batchSize ends a batch at this number of bytes. Larger batches are not faster. A pass
	// keeps one batch in memory, plus one blob.
	batchSize = 1 << 20

	// maxBlob is what rpm allows a header (headerMaxbytes in lib/header.c).
	maxBlob = 256 << 20
)

// DB is a database of rpm. It keeps nothing open between passes, and may be used concurrently.
type DB struct {
	dir  string
	kind string
}

// Open finds the database in dir. The error is ErrNoDatabase if there is none.
func Open(dir string) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the rpm database: %w", err)
	}
	kind, err := kindOf(dir)
	if err != nil {
		return nil, err
	}
	return &DB{dir: dir, kind: kind}, nil
}

// Dir returns the directory of the database, an absolute path.
func (db *DB) Dir() string { return db.dir }

// Kind returns KindSQLite or KindNDB.
func (db *DB) Kind() string { return db.kind }

// Headers calls fn with every header and its number in the database, in ascending order of the
// numbers, until fn returns an error, which Headers returns unchanged. Headers of public keys
// are included. The blob is valid until fn returns. It is empty if the database lacks part of
// the header, or if the header is larger than rpm permits. rpmdb --rebuilddb changes the
// numbers.
func (db *DB) Headers(ctx context.Context, fn func(hnum uint32, blob []byte) error) error {
	return db.each(ctx, "", fn)
}

// Named is Headers for packages of one name, and for unreadable headers that may have this name.
func (db *DB) Named(ctx context.Context, name string, fn func(hnum uint32, blob []byte) error) error {
	return db.each(ctx, name, func(hnum uint32, blob []byte) error {
		if h, err := header.Parse(blob); err == nil {
			if n, err := h.String(header.TagName); err == nil && n != name {
				return nil
			}
		}
		return fn(hnum, blob)
	})
}

// NameOf returns the name of the package whose header has that number, from the database's own
// records, for a header that cannot be read. It is "" if only the header has the name.
func (db *DB) NameOf(ctx context.Context, hnum uint32) string {
	if db.kind != KindSQLite {
		return ""
	}
	src, err := openSQLite(ctx, filepath.Join(db.dir, sqliteFile), "")
	if err != nil {
		return ""
	}
	defer src.close()
	name, err := src.nameOf(ctx, hnum)
	if err != nil {
		return ""
	}
	return name
}

// source is one pass over one form of the database.
type source interface {
	// read fills b with headers whose numbers are above after, in ascending order. After it
	// returns, rpm can write again.
	read(ctx context.Context, after uint32, b *batch) error
	close() error
}

// batch holds headers one after the other.
type batch struct {
	data  []byte
	items []item
}

type item struct {
	hnum       uint32
	start, end int
}

func (b *batch) full() bool { return len(b.data) >= batchSize }

func (b *batch) reset() {
	if cap(b.data) > 4*batchSize {
		b.data = nil
	}
	b.data, b.items = b.data[:0], b.items[:0]
}

func (b *batch) add(hnum uint32, blob []byte) {
	copy(b.extend(hnum, len(blob)), blob)
}

// take is add for a number as a database has it.
func (b *batch) take(hnum int64, blob []byte) error {
	if hnum <= 0 || hnum > math.MaxUint32 {
		return fmt.Errorf("header has number %d", hnum)
	}
	b.add(uint32(hnum), blob)
	return nil
}

// extend appends an item of n bytes, not cleared, and returns it.
func (b *batch) extend(hnum uint32, n int) []byte {
	start := len(b.data)
	if cap(b.data)-start < n {
		grown := make([]byte, start, max(start+n, batchSize+batchSize/4))
		copy(grown, b.data)
		b.data = grown
	}
	b.data = b.data[:start+n]
	b.items = append(b.items, item{hnum, start, start + n})
	return b.data[start:]
}

func (db *DB) each(ctx context.Context, name string, fn func(hnum uint32, blob []byte) error) (err error) {
	src, err := db.open(ctx, name)
	if err != nil {
		return fmt.Errorf("cannot read the rpm database in %s: %w", db.dir, err)
	}
	defer func() {
		if cerr := src.close(); cerr != nil && err == nil {
			err = fmt.Errorf("cannot close the rpm database in %s: %w", db.dir, cerr)
		}
	}()
	var b batch
	var last uint32
	for {
		b.reset()
		if err := src.read(ctx, last, &b); err != nil {
			return fmt.Errorf("cannot read the rpm database in %s: %w", db.dir, err)
		}
		if len(b.items) == 0 {
			return nil
		}
		for _, it := range b.items {
			if it.hnum <= last {
				return fmt.Errorf("cannot read the rpm database in %s: header %d after %d", db.dir, it.hnum, last)
			}
			last = it.hnum
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(it.hnum, b.data[it.start:it.end:it.end]); err != nil {
				return err
			}
		}
	}
}

func (db *DB) open(ctx context.Context, name string) (source, error) {
	if db.kind == KindNDB {
		return openNDB(filepath.Join(db.dir, ndbFile))
	}
	return openSQLite(ctx, filepath.Join(db.dir, sqliteFile), name)
}
