// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"encoding/binary"
	"fmt"
)

// Digest is the SHA-256 of a file's content, the key under which the kernel
// looks a content up. Other algorithms never come to the guard.
type Digest [32]byte

// Entry is what the kernel keeps of a digest.
type Entry struct {
	Lists      uint32 // how many active lists hold it; at 0 the content does not run
	Generation uint32 // of the last comparison that saw it
}

// EntrySize is the length of an entry in the kernel.
const EntrySize = 8

// AppendEntry appends e in the byte order of the machine.
func AppendEntry(b []byte, e Entry) []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(b, e.Lists), e.Generation)
}

// ParseEntry reads what AppendEntry wrote.
func ParseEntry(b []byte) (Entry, error) {
	if len(b) != EntrySize {
		return Entry{}, fmt.Errorf("an entry has %d bytes, not %d", len(b), EntrySize)
	}
	return Entry{binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])}, nil
}

// Counts are what the guard has counted since it was loaded.
type Counts struct {
	Checks   uint64 `json:"checks"`
	Cached   uint64 `json:"cached"`   // checks that needed no hash
	Hashed   uint64 `json:"hashed"`   // checks that did
	Missed   uint64 `json:"missed"`   // checks that the mode refuses or tells of
	Refused  uint64 `json:"refused"`  // those that were refused
	Lost     uint64 `json:"lost"`     // events for which there was no room
	Exempted uint64 `json:"exempted"` // let through because of an exemption
	Voided   uint64 `json:"voided"`   // cached digests that became void by a write
}

// Fields returns where each counter is kept, in the order that the kernel has.
func (c *Counts) Fields() []*uint64 {
	return []*uint64{&c.Checks, &c.Cached, &c.Hashed, &c.Missed, &c.Refused, &c.Lost, &c.Exempted, &c.Voided}
}

// Capacity returns how many entries a map has room for that is to hold n: a power
// of two of which n is at most 80 %, and no less than 65,536.
func Capacity(n int) uint32 {
	size := uint32(1 << 16)
	for uint64(n)*5 > uint64(size)*4 && size < 1<<30 {
		size *= 2
	}
	return size
}
