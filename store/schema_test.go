// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
)

// setSchema makes a closed index one of that schema, without the Buckets named gone.
func setSchema(t *testing.T, path string, schema uint64, gone ...string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range gone {
			if err := tx.DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
		value := binary.BigEndian.AppendUint64(nil, schema)
		sum := crc32.Checksum(append([]byte("meta\x00schema\x00"), value...), crc32.MakeTable(crc32.Castagnoli))
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), append(binary.BigEndian.AppendUint32(nil, sum), value...))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// schemaOf reads the schema of a closed index.
func schemaOf(t *testing.T, path string) (schema uint64) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.View(func(tx *bbolt.Tx) error {
		schema = binary.BigEndian.Uint64(tx.Bucket([]byte("meta")).Get([]byte("schema"))[4:])
		return nil
	})
	return schema
}

// TestOlderSchemaIsUpgraded: an index of schema 1 keeps all that is in it, gets the
// Buckets that it lacks, and is marked so that the digestd that wrote it refuses it.
func TestOlderSchemaIsUpgraded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	ix, _ := open(t, dir)
	list := record.List{Name: "tlv-a-0:1-1.noarch", State: record.Active, Key: "aa", Counter: 7}
	commit(t, ix, func(b *record.Batch) { b.PutList(list) })
	ix.Close()
	setSchema(t, path, 1, "pending")
	ix, rec := open(t, dir)
	if rec.Fate != store.Intact {
		t.Errorf("fate is %d (%v), want Intact", rec.Fate, rec.Cause)
	}
	c, err := ix.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]record.List{list}, c.Lists); diff != "" {
		t.Error(diff)
	}
	if ix.Counter() != 7 {
		t.Errorf("counter is %d, want 7", ix.Counter())
	}
	commit(t, ix, func(b *record.Batch) { b.SetTaken("journal", 1) })
	ix.Close()
	if got := schemaOf(t, path); got != store.Schema {
		t.Errorf("schema is %d, want %d", got, store.Schema)
	}
}

// TestBucketMissingInThisSchema: only an older schema may lack a bucket.
func TestBucketMissingInThisSchema(t *testing.T) {
	dir := t.TempDir()
	ix, _ := open(t, dir)
	raise(t, ix, 1)
	ix.Close()
	setSchema(t, filepath.Join(dir, "index.db"), store.Schema, "pending")
	if _, rec := open(t, dir); rec.Fate != store.Damaged {
		t.Errorf("fate is %d, want Damaged", rec.Fate)
	}
}
