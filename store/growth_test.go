// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/store/record"
)

// TestGrowth: a commit that makes the index many times larger does not have bbolt map the file
// again, and the file is not as large as the mapping.
func TestGrowth(t *testing.T) {
	dir := t.TempDir()
	ix, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { ix.Close() }()
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, indexFile))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before, first := ix.db.Info().Data, size()
	var b record.Batch
	for i := range 4000 {
		b.PutList(record.List{Name: fmt.Sprintf("tlv-package%d-0:1-1.noarch", i), Text: fmt.Sprintf("%0600d", i)})
	}
	if err := ix.Commit(&b); err != nil {
		t.Fatal(err)
	}
	if err := ix.Behind(); err != nil {
		t.Fatal(err)
	}
	grown := size()
	if ix.db.Info().Data != before {
		t.Errorf("the file was mapped again as it grew from %d to %d bytes", first, grown)
	}
	if first > 1<<20 || grown < 2<<20 || grown > mapRoom/4 {
		t.Errorf("the file grew from %d to %d bytes", first, grown)
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	if ix, _, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	if c, err := ix.Load(); err != nil || len(c.Lists) != 4000 {
		t.Errorf("%d lists, %v", len(c.Lists), err)
	}
}
