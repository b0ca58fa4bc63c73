// SPDX-License-Identifier: Apache-2.0

// Package table is the table in which the guard's programs look digests up. It lies in memory
// that the kernel reads while this package changes it: a map of BPF that the caller has mapped. It
// knows nothing of BPF, so any memory will do.
//
// The table is an array of buckets of [BucketSize] bytes. The first is the header; each of the
// others has 8 slots of 40 bytes: a digest, how many lists hold it, and the generation that saw it
// last, which is 0 if the slot was never used. A digest is in the first bucket of its path that had
// room when it came. The path depends on a random seed of the table, so that publishers who choose
// contents cannot choose where their digests lie. Both sides follow these rules, on which readers
// depend, for they lock nothing:
//
//   - The number of lists is written last, when a digest comes, and is all that is written when it
//     goes. A reader reads it before it compares the digest.
//   - A slot keeps its digest for good. What went away leaves room only in another table, to which
//     [Table.CopyTo] copies the rest.
//   - The slots of a bucket are used in their order, so that a path ends at the first bucket whose
//     last slot was never used, and at the latest with its bucket number [Probes].
//
// A process that ends at any point leaves a table that can be used. listed in
// kernel/guard/bpf/c/table.h is the reader.
package table

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"runtime"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/digestd/digestd/kernel/guard"
)

const (
	// BucketSize is the size of a bucket, which is an element of the map, in bytes.
	BucketSize = perBucket * int(unsafe.Sizeof(slot{}))
	// Probes is the largest number of buckets in a path.
	Probes = 24

	perBucket = 8
	seeds     = 7
)

// words is a digest as the guard's programs read and write it.
type words [4]uint64

func wordsOf(d *guard.Digest) (w words) {
	for i := range w {
		w[i] = binary.NativeEndian.Uint64(d[8*i:])
	}
	return w
}

func (w *words) digest() (d guard.Digest) {
	for i := range w {
		binary.NativeEndian.PutUint64(d[8*i:], w[i])
	}
	return d
}

// slot is struct slot of table.h.
type slot struct {
	digest words
	lists  uint32 // how many active lists have it; at 0 the content does not run
	seen   uint32 // the generation that last saw it; 0: the slot was never used
}

type bucket [perBucket]slot

// head is struct header of table.h, in the first bucket.
type head struct {
	seed [seeds]uint64
	mask uint64 // the number of buckets, a power of two, less 1
	_    [BucketSize - (seeds+1)*8]byte
}

// Table is a table of digests. One goroutine may change it. Readers of its memory that follow
// the rules above may read at any time.
type Table struct {
	head    *head
	buckets []bucket
	live    int // digests that some list has
	used    int // slots with a digest
}

// ErrFull means that the path of a digest has no room, which is improbable below 80 %.
var ErrFull = errors.New("the table of digests is full")

// errMemory is wrapped by errors about memory that is not a table.
var errMemory = errors.New("the memory is no table of digests")

// Capacity returns the number of slots of a table for n digests: a power of two of which n is at
// most 80 %, and at least 65,536.
func Capacity(n int) uint32 {
	size := uint32(1 << 16)
	for uint64(n)*5 > uint64(size)*4 && size < 1<<30 {
		size *= 2
	}
	return size
}

// Buckets returns how many buckets of [BucketSize] bytes a table with so many slots needs.
func Buckets(slots uint32) uint32 { return slots/perBucket + 1 }

// Format makes an empty table in memory that is all zero.
func Format(mem []byte) (*Table, error) {
	t, err := view(mem)
	if err != nil {
		return nil, err
	}
	var random [seeds * 8]byte
	rand.Read(random[:])
	for i := range t.head.seed {
		t.head.seed[i] = binary.NativeEndian.Uint64(random[i*8:])
	}
	t.head.mask = uint64(len(t.buckets) - 1)
	return t, nil
}

// Open opens the table that Format made in mem, in this process or another.
func Open(mem []byte) (*Table, error) {
	t, err := view(mem)
	if err != nil {
		return nil, err
	}
	if t.head.mask != uint64(len(t.buckets)-1) {
		return nil, fmt.Errorf("%w: its header is of %d buckets, not %d", errMemory, t.head.mask+1, len(t.buckets))
	}
	for i := range t.buckets {
		for j := range t.buckets[i] {
			if s := &t.buckets[i][j]; s.seen != 0 {
				t.used++
				if s.lists != 0 {
					t.live++
				}
			}
		}
	}
	return t, nil
}

func view(mem []byte) (*Table, error) {
	n := len(mem)/BucketSize - 1
	if n < 1 || n&(n-1) != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%8 != 0 {
		return nil, fmt.Errorf("%w: it has %d bytes", errMemory, len(mem))
	}
	all := unsafe.Slice((*bucket)(unsafe.Pointer(unsafe.SliceData(mem))), n+1)
	return &Table{head: (*head)(unsafe.Pointer(&all[0])), buckets: all[1:]}, nil
}

// Len returns the number of digests that some list has.
func (t *Table) Len() int { return t.live }

// Slots returns the number of slots.
func (t *Table) Slots() uint32 { return uint32(len(t.buckets) * perBucket) }

// Fits reports whether a fifth of the slots stays unused with n more digests.
func (t *Table) Fits(n int) bool { return uint64(t.used+n)*5 <= uint64(t.Slots())*4 }

// path goes through the buckets of a digest. The sum is that of pair-multiply-shift: any two
// digests that were chosen without the seed meet as often as two random ones. The two products
// after it break up sequences. Half of a digest is enough, for nobody finds contents that agree in
// it.
type path struct {
	at, step, mask uint64
}

func (t *Table) path(d *guard.Digest) path {
	word := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(d[4*i:])) }
	s := &t.head.seed
	x := s[0] + s[1]*word(0) + s[2]*word(1) + s[3]*word(2) + s[4]*word(3)
	x = (x ^ x>>32) * (s[5] | 1)
	x = (x ^ x>>32) * (s[6] | 1)
	return path{at: x >> 32, step: x | 1, mask: t.head.mask}
}

// next returns the index of the next bucket.
func (p *path) next() uint64 {
	at := p.at & p.mask
	p.at += p.step
	return at
}

// find returns the slot of a digest, or nil, and the slot that it would get, or nil if there is
// no room for it.
func (t *Table) find(d *guard.Digest) (has, free *slot) { return t.follow(t.path(d), d) }

func (t *Table) follow(p path, d *guard.Digest) (has, free *slot) {
	w := wordsOf(d)
	for range Probes {
		b := &t.buckets[p.next()]
		for i := range b {
			s := &b[i]
			if s.seen == 0 {
				return nil, s
			}
			if s.digest[0] == w[0] && s.digest == w {
				return s, nil
			}
		}
	}
	return nil, nil
}

// Lists returns how many lists have a digest.
func (t *Table) Lists(d guard.Digest) uint32 {
	if s, _ := t.find(&d); s != nil {
		return s.lists
	}
	return 0
}

// hold sets the number of lists that have the digest of a slot.
func (t *Table) hold(s *slot, lists uint32) {
	switch {
	case s.lists == 0 && lists > 0:
		t.live++
	case s.lists > 0 && lists == 0:
		t.live--
	}
	atomic.StoreUint32(&s.lists, lists)
}

// Set sets the number of lists that have a digest, as generation, which is not 0, saw it.
func (t *Table) Set(d guard.Digest, lists, generation uint32) error {
	s, free := t.find(&d)
	if s == nil {
		if free == nil {
			return ErrFull
		}
		s = free
		for i, w := range wordsOf(&d) {
			atomic.StoreUint64(&s.digest[i], w)
		}
		t.used++
	}
	atomic.StoreUint32(&s.seen, generation)
	t.hold(s, lists)
	return nil
}

// Drop counts one list fewer for each digest. It ignores digests that are not there.
func (t *Table) Drop(digests []guard.Digest) {
	const together = 16
	for part := range slices.Chunk(digests, together) {
		// The processor fetches the memory of all of them at the same time.
		var paths [together]path
		var read uint64
		for i := range part {
			paths[i] = t.path(&part[i])
			b := &t.buckets[paths[i].at&t.head.mask]
			read |= b[0].digest[0] | b[2].digest[0] | b[4].digest[0] | b[5].digest[0] | b[7].digest[0]
		}
		for i := range part {
			if s, _ := t.follow(paths[i], &part[i]); s != nil && s.lists > 0 {
				t.hold(s, s.lists-1)
			}
		}
		runtime.KeepAlive(read)
	}
}

// Generation returns the highest generation that saw a digest, at least 1.
func (t *Table) Generation() uint32 {
	highest := uint32(1)
	for i := range t.buckets {
		for j := range t.buckets[i] {
			highest = max(highest, t.buckets[i][j].seen)
		}
	}
	return highest
}

// Keep removes all digests that generation has not seen.
func (t *Table) Keep(generation uint32) {
	for s := range t.held() {
		if s.seen != generation {
			t.hold(s, 0)
		}
	}
}

// held returns the slots whose digests some list has.
func (t *Table) held() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for i := range t.buckets {
			for j := range t.buckets[i] {
				if s := &t.buckets[i][j]; s.lists != 0 && !yield(s) {
					return
				}
			}
		}
	}
}

// All returns the digests that some list has, with the number of lists, in no order.
func (t *Table) All() iter.Seq2[guard.Digest, uint32] {
	return func(yield func(guard.Digest, uint32) bool) {
		for s := range t.held() {
			if !yield(s.digest.digest(), s.lists) {
				return
			}
		}
	}
}

// CopyTo adds the digests that some list has to another table.
func (t *Table) CopyTo(other *Table) error {
	for s := range t.held() {
		if err := other.Set(s.digest.digest(), s.lists, s.seen); err != nil {
			return err
		}
	}
	return nil
}

// Grown returns the number of slots of a new table for n digests: with an eighth more, because
// removed digests keep their slots until the table is replaced.
func Grown(n int) uint32 { return Capacity(n + n/8) }

// Room returns how many digests fit in this table, or in a new one of at most so many bytes.
func (t *Table) Room(bytes uint64) int {
	room := int(uint64(t.Slots())*4/5) - (t.used - t.live)
	const most = 1 << 30 // slots
	slots := min(bytes/uint64(unsafe.Sizeof(slot{})), most)
	if slots < 1<<16 {
		return room
	}
	slots = 1 << (bits.Len64(slots) - 1)
	return max(room, int(slots*4/5*8/9))
}
