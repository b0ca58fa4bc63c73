// SPDX-License-Identifier: Apache-2.0

package table

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/kernel/guard"
)

// memory is that of a table with so many slots, which lies where a map of the kernel does.
func memory(slots uint32) []byte {
	n := int(Buckets(slots)) * BucketSize
	words := make([]uint64, n/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
}

func empty(t testing.TB, slots uint32) (*Table, []byte) {
	t.Helper()
	mem := memory(slots)
	table, err := Format(mem)
	if err != nil {
		t.Fatal(err)
	}
	return table, mem
}

func number(i uint64) guard.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
}

// add adds one list's hold on a digest.
func add(t *Table, d guard.Digest, generation uint32) error {
	return t.Set(d, t.Lists(d)+1, generation)
}

// listed is the reader of table.h.
func listed(t *Table, d guard.Digest) bool {
	p, w := t.path(&d), wordsOf(&d)
	for range Probes {
		b := &t.buckets[p.next()]
		for i := range b {
			s := &b[i]
			if atomic.LoadUint64(&s.digest[0]) != w[0] {
				continue
			}
			lists := atomic.LoadUint32(&s.lists)
			same := true
			for j := range w {
				same = same && atomic.LoadUint64(&s.digest[j]) == w[j]
			}
			if same {
				return lists != 0
			}
		}
		if atomic.LoadUint32(&b[perBucket-1].seen) == 0 {
			return false
		}
	}
	return false
}

// What this package writes by number is what table.h reads; there the compiler proves it.
func TestLayout(t *testing.T) {
	header, err := os.ReadFile("../bpf/c/table.h")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("#define PER_BUCKET %d", perBucket),
		fmt.Sprintf("#define PROBES %d", Probes),
		fmt.Sprintf("__u64 seed[%d];", seeds),
		fmt.Sprintf("SIZE(slot, %d);", unsafe.Sizeof(slot{})),
		fmt.Sprintf("AT(slot, digest, %d);", unsafe.Offsetof(slot{}.digest)),
		fmt.Sprintf("AT(slot, lists, %d);", unsafe.Offsetof(slot{}.lists)),
		fmt.Sprintf("AT(slot, seen, %d);", unsafe.Offsetof(slot{}.seen)),
		fmt.Sprintf("SIZE(bucket, %d);", BucketSize),
		fmt.Sprintf("SIZE(header, %d);", unsafe.Offsetof(head{}.mask)+8),
		fmt.Sprintf("AT(header, seed, %d);", unsafe.Offsetof(head{}.seed)),
		fmt.Sprintf("AT(header, mask, %d);", unsafe.Offsetof(head{}.mask)),
	}
	for _, line := range want {
		if !strings.Contains(string(header), line+"\n") && !strings.Contains(string(header), line+" ") {
			t.Errorf("table.h does not have %q", line)
		}
	}
	if unsafe.Sizeof(head{}) != uintptr(BucketSize) {
		t.Errorf("the header takes %d bytes, a bucket %d", unsafe.Sizeof(head{}), BucketSize)
	}
}

// A table knows what a map knows, whatever is done to it, in what order, and after another
// process opened it.
func TestTableIsAMap(t *testing.T) {
	const contents = 1500
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 0))
		table, mem := empty(t, 1<<11)
		want, seen, generation := map[guard.Digest]uint32{}, map[guard.Digest]uint32{}, uint32(1)
		for range 8_000 {
			d := number(r.Uint64N(contents))
			if table.Lists(d) != want[d] || listed(table, d) != (want[d] > 0) {
				t.Fatalf("seed %d: %d lists hold it, want %d; listed: %v", seed, table.Lists(d), want[d], listed(table, d))
			}
			switch n := r.IntN(1000); {
			case n < 400:
				if err := add(table, d, generation); err != nil {
					t.Fatal(err)
				}
				want[d]++
				seen[d] = generation
			case n < 600:
				if err := table.Set(d, uint32(n%3), generation); err != nil {
					t.Fatal(err)
				}
				want[d], seen[d] = uint32(n%3), generation
			case n < 997:
				table.Drop([]guard.Digest{d})
				want[d] = max(want[d], 1) - 1
			case n == 997:
				generation++
			case n == 998:
				table.Keep(generation)
				maps.DeleteFunc(want, func(d guard.Digest, _ uint32) bool { return seen[d] != generation })
			case n == 999:
				other, memory := empty(t, 1<<11)
				if err := table.CopyTo(other); err != nil {
					t.Fatal(err)
				}
				if other.used != other.live {
					t.Fatalf("%d slots of %d are used in a new table", other.used, other.live)
				}
				mem = memory
				table = other
			}
		}
		maps.DeleteFunc(want, func(_ guard.Digest, n uint32) bool { return n == 0 })
		again, err := Open(mem)
		if err != nil {
			t.Fatal(err)
		}
		if again.live != table.live || again.used != table.used || again.Generation() > generation {
			t.Errorf("seed %d: opened again %d of %d digests, want %d of %d", seed, again.live, again.used, table.live, table.used)
		}
		if diff := cmp.Diff(want, maps.Collect(again.All())); diff != "" || again.Len() != len(want) {
			t.Errorf("seed %d: %s", seed, diff)
		}
	}
}

// Readers that lock nothing never miss what is there all the while, and never find what is not.
// Digests that come and go are made of the same halves as others that never do.
func TestReaders(t *testing.T) {
	half := func(a, b guard.Digest) (d guard.Digest) {
		copy(d[:16], a[:16])
		copy(d[16:], b[16:])
		return d
	}
	var stay, change, never []guard.Digest
	for i := range uint64(1000) {
		a, b := number(2*i), number(2*i+1)
		stay = append(stay, number(10_000+i))
		change = append(change, half(a, a), half(b, b))
		never = append(never, half(a, b), half(b, a), guard.Digest{}, half(a, guard.Digest{}))
	}
	table, _ := empty(t, 1<<13) // half of it will be used
	for _, d := range stay {
		if err := table.Set(d, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	var readers sync.WaitGroup
	var missed, wrong atomic.Int64
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if !listed(table, stay[i%len(stay)]) {
					missed.Add(1)
				}
				if listed(table, never[i%len(never)]) {
					wrong.Add(1)
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		d := change[r.IntN(len(change))]
		if r.IntN(2) == 0 {
			if err := add(table, d, 1); err != nil {
				t.Fatal(err)
			}
			if !listed(table, d) {
				t.Fatal("what was added is not listed")
			}
			continue
		}
		for table.Lists(d) > 0 {
			table.Drop([]guard.Digest{d})
		}
		if listed(table, d) {
			t.Fatal("what was taken away is listed")
		}
	}
	close(stop)
	readers.Wait()
	if missed.Load() != 0 || wrong.Load() != 0 {
		t.Errorf("%d were missed, %d were found that are not there", missed.Load(), wrong.Load())
	}
}

// A process that ends between any two writes leaves a table in which all else is as before.
func TestInterrupted(t *testing.T) {
	others := []guard.Digest{number(1), number(2)}
	came := number(3)
	for cut := range 7 { // after so many of the writes: four words, the generation, the lists
		table, mem := empty(t, 1<<11)
		for _, d := range others {
			if err := add(table, d, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := add(table, came, 1); err != nil {
			t.Fatal(err)
		}
		s, _ := table.find(&came)
		if cut < 6 {
			s.lists = 0
		}
		if cut < 5 {
			s.seen = 0
		}
		for i := cut; i < 4; i++ {
			s.digest[i] = 0
		}
		again, err := Open(mem)
		if err != nil {
			t.Fatal(err)
		}
		if got := listed(again, came); got != (cut == 6) {
			t.Errorf("after %d writes it is listed: %v", cut, got)
		}
		later := []guard.Digest{number(4), came}
		for _, d := range later {
			if err := again.Set(d, 1, 2); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range slices.Concat(others, later) {
			if !listed(again, d) {
				t.Errorf("after %d writes one is missing", cut)
			}
		}
		if again.Len() != 4 || again.used != 4 {
			t.Errorf("after %d writes there are %d digests in %d slots", cut, again.Len(), again.used)
		}
	}
}

// Contents that somebody chose find room as others do, up to 80 %.
func TestChosenContents(t *testing.T) {
	const slots = 1 << 14
	for name, make := range map[string]func(i uint64) (d guard.Digest){
		"random":    number,
		"numbers":   func(i uint64) (d guard.Digest) { binary.BigEndian.PutUint64(d[:], i); return d },
		"last word": func(i uint64) (d guard.Digest) { binary.BigEndian.PutUint32(d[12:], uint32(i)); return d },
		"steps":     func(i uint64) (d guard.Digest) { binary.NativeEndian.PutUint32(d[4:], uint32(i)<<13); return d },
		"two words": func(i uint64) (d guard.Digest) {
			binary.NativeEndian.PutUint32(d[:], uint32(i))
			binary.NativeEndian.PutUint32(d[8:], -uint32(i))
			return d
		},
	} {
		table, _ := empty(t, slots)
		n, longest := uint64(0), 0
		for ; table.Fits(1); n++ {
			d := make(n)
			if err := table.Set(d, 1, 1); err != nil {
				t.Errorf("%s: %v after %d", name, err, n)
				break
			}
			p, s := table.path(&d), 0
			for b := (*bucket)(nil); ; s++ {
				if b = &table.buckets[p.next()]; slices.ContainsFunc(b[:], func(s slot) bool { return s.digest == wordsOf(&d) }) {
					break
				}
			}
			longest = max(longest, s+1)
		}
		t.Logf("%s: %d of %d, the longest path has %d buckets", name, n, slots, longest)
		if n != slots*4/5 {
			t.Errorf("%s: %d fit", name, n)
		}
	}
}

// What has no room on its path is an error, and changes nothing.
func TestFull(t *testing.T) {
	table, _ := empty(t, 64)
	n := uint64(0)
	for ; add(table, number(n), 1) == nil; n++ {
	}
	if n > 64 || n < 60 {
		t.Errorf("%d of 64 fit", n)
	}
	if err := add(table, number(n), 1); !errors.Is(err, ErrFull) || table.Len() != int(n) {
		t.Errorf("%v, %d digests", err, table.Len())
	}
	for i := range n {
		if !listed(table, number(i)) {
			t.Errorf("%d is not there", i)
		}
	}
	table.Drop([]guard.Digest{number(0)})
	if err := add(table, number(0), 1); err != nil {
		t.Errorf("what was there before has no room: %v", err)
	}
}

func TestMemoryThatIsNoTable(t *testing.T) {
	for _, n := range []int{0, 1, BucketSize, 2*BucketSize - 1, 4 * BucketSize} {
		if _, err := Format(memory(1 << 12)[:n]); !errors.Is(err, errMemory) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := Open(memory(1 << 12)); !errors.Is(err, errMemory) {
		t.Errorf("memory without a header: %v", err)
	}
	_, mem := empty(t, 1<<11)
	if _, err := Open(mem[:len(mem)/2+BucketSize/2]); !errors.Is(err, errMemory) {
		t.Errorf("half of a table: %v", err)
	}
	if _, err := Format(memory(1 << 12)[1 : 1+2*BucketSize]); !errors.Is(err, errMemory) {
		t.Errorf("an odd address: %v", err)
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int]uint32{0: 1 << 16, 52_428: 1 << 16, 52_429: 1 << 17, 100_000: 1 << 17, 104_857: 1 << 17, 104_858: 1 << 18, 1_000_000: 1 << 21} {
		if got := Capacity(n); got != want {
			t.Errorf("%d digests: room for %d, want %d", n, got, want)
		}
	}
	if got := Grown(100_000); got != 1<<18 {
		t.Errorf("in the place of another: %d slots", got)
	}
	if bytes := int(Buckets(1<<21)) * BucketSize; bytes > 115e6 {
		t.Errorf("10^6 digests take %d bytes", bytes)
	}
	table, _ := empty(t, 1<<16)
	for i := range uint64(1000) {
		if err := add(table, number(i), 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(100) {
		table.Drop([]guard.Digest{number(i)})
	}
	for bytes, want := range map[uint64]int{
		0:                   52_428 - 100, // this one, but for what went away
		40<<16 - 1:          52_428 - 100,
		40 << 17:            93_206,
		40<<17 + 1:          93_206,
		1 << 60:             1 << 30 / 5 * 4 / 9 * 8,
		40 * (1 << 21):      1_491_308,
		40 * (1<<21 + 9999): 1_491_308,
	} {
		if got := table.Room(bytes); got < want-8 || got > want+8 {
			t.Errorf("%d bytes: room for %d, want about %d", bytes, got, want)
		} else if n := got - table.Len(); bytes >= 40<<16 && uint64(Grown(table.Len()+n))*40 > bytes && !table.Fits(n) {
			t.Errorf("%d bytes: room for %d, which take %d slots", bytes, got, Grown(table.Len()+n))
		}
	}
}
