// SPDX-License-Identifier: Apache-2.0

package pages_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store/pages"
	"go.etcd.io/bbolt"
)

// database makes one that has all forms of pages: branches, leaves that go on over several
// pages, a bucket within the page of its parent, and a free list. It returns its bytes and
// the numbers of the pages that are in use.
func database(t *testing.T) (data []byte, used map[uint64]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(fn func(tx *bbolt.Tx) error) {
		t.Helper()
		if err := db.Update(fn); err != nil {
			t.Fatal(err)
		}
	}
	fill(func(tx *bbolt.Tx) error {
		for _, name := range []string{"inline", "many", "large"} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte("inline")).Put([]byte("key"), []byte("value"))
	})
	fill(func(tx *bbolt.Tx) error {
		for i := range 500 {
			if err := tx.Bucket([]byte("many")).Put(fmt.Appendf(nil, "%04d", i), bytes.Repeat([]byte{'x'}, 50)); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte("large")).Put([]byte("key"), make([]byte, 3*os.Getpagesize()))
	})
	used = map[uint64]string{}
	err = db.View(func(tx *bbolt.Tx) error {
		if err := pages.Check(tx); err != nil {
			return err
		}
		for id := uint64(2); ; id++ {
			info, err := tx.Page(int(id))
			if info == nil || err != nil {
				return err
			}
			if info.Type != "free" {
				used[id] = info.Type
			}
			id += uint64(info.OverflowCount)
		}
	})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if data, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, kind := range used {
		kinds[kind]++
	}
	if kinds["branch"] == 0 || kinds["leaf"] < 3 || kinds["freelist"] != 1 {
		t.Fatalf("the database has these pages in use: %v", kinds)
	}
	return data, used
}

// check opens these bytes as bbolt does that writes nothing, and checks them.
func check(t *testing.T, data []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return db.View(pages.Check)
}

func TestCheck(t *testing.T) {
	data, used := database(t)
	if err := check(t, data); err != nil {
		t.Fatalf("an undamaged database: %v", err)
	}
	size := uint64(os.Getpagesize())
	order := binary.NativeEndian
	for id, kind := range used {
		for name, damage := range map[string]func(page []byte){
			"another number":     func(page []byte) { order.PutUint64(page, id+1) },
			"another kind":       func(page []byte) { order.PutUint16(page[8:], 4) },
			"too many elements":  func(page []byte) { order.PutUint16(page[10:], 0xfffe) },
			"too many pages":     func(page []byte) { order.PutUint32(page[12:], 1<<31) },
			"all bits are set":   func(page []byte) { copy(page, bytes.Repeat([]byte{0xff}, 16)) },
			"nothing is written": func(page []byte) { clear(page) },
		} {
			bad := bytes.Clone(data)
			damage(bad[id*size : (id+1)*size])
			if err := check(t, bad); err == nil {
				t.Errorf("page %d, %s: %s: no error", id, kind, name)
			}
		}
		if kind != "branch" {
			continue
		}
		for name, child := range map[string]uint64{"itself": id, "a meta page": 1, "no page": uint64(len(data)) / size, "the same page twice": 0} {
			bad := bytes.Clone(data)
			page := bad[id*size:]
			if child == 0 {
				child = order.Uint64(page[16+8:])
			}
			order.PutUint64(page[16+16+8:], child)
			if err := check(t, bad); err == nil {
				t.Errorf("branch %d leads to %s: no error", id, name)
			}
		}
	}
}
