// SPDX-License-Identifier: Apache-2.0

package rpmdb

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzNDB reads any bytes as a database of rpm's ndb format: it ends, and takes
// no more memory than the file has.
func FuzzNDB(f *testing.F) {
	page := make([]byte, 4096)
	copy(page, "RpmP")
	binary.LittleEndian.PutUint32(page[4:], ndbVersion)
	binary.LittleEndian.PutUint32(page[8:], 1)  // generation
	binary.LittleEndian.PutUint32(page[12:], 1) // slot pages
	binary.LittleEndian.PutUint32(page[16:], 2) // next package
	for at := 32; at < len(page); at += 16 {
		copy(page[at:], "Slot")
	}
	f.Add(page)
	f.Add(page[:100])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, size := bytes.NewReader(data), int64(len(data))
		state, err := readNDBState(r, size)
		if err != nil {
			return
		}
		slots, err := readNDBSlots(r, size, state.pages)
		if err != nil {
			return
		}
		if int64(len(slots))*16 > size {
			t.Fatalf("%d slots in %d bytes", len(slots), size)
		}
		var b batch
		for _, s := range slots {
			if err := readNDBBlob(r, s, &b); err != nil {
				continue
			}
			if int64(len(b.data)) > size*int64(len(slots)) {
				t.Fatalf("%d bytes of headers in a file of %d", len(b.data), size)
			}
			b.reset()
		}
	})
}
