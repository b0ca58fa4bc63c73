// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/table"
)

// lookup is the function of the guard's object that says whether a digest is listed, as a program
// of its own, which refuses nothing: the kernel at hand runs it when it is asked to.
type lookup struct{ *ebpf.Program }

func (l lookup) listed(t testing.TB, d guard.Digest) bool {
	t.Helper()
	answer, err := l.Run(&ebpf.RunOptions{Context: d[:]})
	if err != nil {
		t.Fatal(err)
	}
	return answer != 0
}

// hostSet is a set whose only program is lookup, and whose maps are those of digests and of the
// commit.
func hostSet(t testing.TB) (*Set, lookup) {
	t.Helper()
	needs.BPF(t)
	spec, err := loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	instructions := slices.Concat(function(t, spec, "listed"), function(t, spec, "look_further"))
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(dir, "maps"), 0o700); err != nil {
		t.Fatal(err)
	}
	inner := spec.Maps[guardMapDigests].InnerMap
	if int(inner.ValueSize) != table.BucketSize || inner.MaxEntries != table.Buckets(table.Capacity(0)) {
		t.Fatalf("the object's table has %d buckets of %d bytes", inner.MaxEntries, inner.ValueSize)
	}
	part := &ebpf.CollectionSpec{
		Maps:      map[string]*ebpf.MapSpec{},
		Programs:  map[string]*ebpf.ProgramSpec{"lookup": {Type: ebpf.Syscall, Flags: unix.BPF_F_SLEEPABLE, License: "GPL", Instructions: instructions}},
		ByteOrder: spec.ByteOrder,
	}
	for _, name := range []string{guardMapDigests, guardMapCommit, guardMapSealed} {
		part.Maps[name] = spec.Maps[name]
	}
	loaded, err := ebpf.NewCollection(part)
	if err != nil {
		t.Fatal(err)
	}
	program := loaded.Programs["lookup"]
	loaded.Programs = nil
	t.Cleanup(func() { program.Close() })
	s, err := newSet(dir, loaded, nil, inner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, lookup{program}
}

// function returns the instructions of a function that guard_exec calls.
func function(t testing.TB, spec *ebpf.CollectionSpec, name string) asm.Instructions {
	t.Helper()
	all := spec.Programs[guardProgGuardExec].Instructions
	begin := slices.IndexFunc(all, func(i asm.Instruction) bool { return i.Symbol() == name })
	if begin < 0 {
		t.Fatalf("the object has no function %s", name)
	}
	end := begin + 1
	for end < len(all) && all[end].Symbol() == "" {
		end++
	}
	return all[begin:end]
}

func parted(digests []guard.Digest, lists uint32) func() ([]guard.Digest, []uint32, error) {
	return func() ([]guard.Digest, []uint32, error) {
		if len(digests) == 0 {
			return nil, nil, io.EOF
		}
		part := digests[:min(len(digests), 4096)]
		digests = digests[len(part):]
		return part, slices.Repeat([]uint32{lists}, len(part)), nil
	}
}

func content(i int) guard.Digest {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func contents(from, to int) (digests []guard.Digest) {
	for i := from; i < to; i++ {
		digests = append(digests, content(i))
	}
	return digests
}

// What the set says is what the kernel finds, in each table that takes the place of another, and
// after another process took the set over.
func TestLookup(t *testing.T) {
	s, program := hostSet(t)
	agree := func(what string, digests []guard.Digest, want bool) {
		t.Helper()
		said, err := s.Listed(digests)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range digests {
			if got := program.listed(t, d); got != want || said[i] != want {
				t.Fatalf("%s: %x: the kernel finds %v, the set says %v, want %v", what, d, got, said[i], want)
			}
		}
	}
	first, second, third := contents(0, 50_000), contents(50_000, 60_000), contents(60_000, 160_000)
	agree("empty", first[:10], false)
	agree("zero", []guard.Digest{{}}, false)
	if err := s.Admit(append(first, guard.Digest{})); err != nil {
		t.Fatal(err)
	}
	agree("zero is listed", []guard.Digest{{}}, true)
	agree("admitted", first, true)
	agree("others", second, false)
	if err := s.Admit(slices.Concat(second, second[:5000])); err != nil {
		t.Fatal(err)
	}
	if got := s.active.Slots(); got != 1<<17 {
		t.Errorf("60,001 digests in %d slots", got)
	}
	agree("in a larger table", slices.Concat(first, second), true)
	if err := s.Expel(slices.Concat(first, second)); err != nil {
		t.Fatal(err)
	}
	agree("another list holds it", second[:5000], true)
	agree("expelled", slices.Concat(first, second[5000:]), false)
	if s.Len() != 5001 {
		t.Errorf("%d digests are left", s.Len())
	}
	if err := s.Replace(len(third), parted(third, 2)); err != nil {
		t.Fatal(err)
	}
	agree("replaced", third, true)
	agree("what was there", slices.Concat(first, second), false)
	if err := s.Replace(len(second), parted(second, 1)); err != nil {
		t.Fatal(err)
	}
	if got := s.active.Slots(); got != 1<<16 || s.Len() != len(second) {
		t.Errorf("after fewer took their place %d digests are in %d slots", s.Len(), got)
	}
	agree("fewer", second, true)
	agree("what was there", third[:1000], false)

	// What came and went leaves its slots, until there are too many.
	for i := range 30 {
		if err := s.Admit(third[i*3000 : (i+1)*3000]); err != nil {
			t.Fatal(err)
		}
		if err := s.Expel(third[i*3000 : (i+1)*3000]); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.active.Slots(); got != 1<<16 || s.Len() != len(second) {
		t.Errorf("after 90,000 came and went %d digests are in %d slots", s.Len(), got)
	}
	agree("all the while", second, true)
	agree("came and went", third[:90_000:90_000], false)

	if most, err := s.Room(); err != nil || most < 1<<16/5*4 {
		t.Errorf("there can be %d digests, %v", most, err)
	}
	if err := s.SetCommit(7); err != nil {
		t.Fatal(err)
	}
	again := &Set{dir: s.dir, inner: s.inner, maps: s.maps}
	if err := again.openActive(); err != nil {
		t.Fatal(err)
	}
	defer again.active.close()
	if again.Len() != s.Len() || again.generation < s.generation {
		t.Errorf("another process finds %d digests, of generation %d", again.Len(), again.generation)
	}
	count := 0
	err := again.Each(func(_ guard.Digest, lists uint32) error {
		count += int(lists)
		return nil
	})
	if err != nil || count != len(second) {
		t.Errorf("%d digests, %v", count, err)
	}
}

// While digests come and go and tables take the place of others the kernel never misses what stays,
// and never finds what is made of halves of others.
func TestLookupMeanwhile(t *testing.T) {
	s, program := hostSet(t)
	half := func(a, b guard.Digest) (d guard.Digest) {
		copy(d[:16], a[:16])
		copy(d[16:], b[16:])
		return d
	}
	stay := contents(0, 2000)
	var change, never []guard.Digest
	for i := 2000; i < 50_000; i += 2 {
		a, b := content(i), content(i+1)
		change, never = append(change, a, b), append(never, half(a, b), half(b, a))
	}
	if err := s.Admit(stay); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var asked, missed, wrong atomic.Int64
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if !program.listed(t, stay[i%len(stay)]) {
					missed.Add(1)
				}
				if program.listed(t, never[i%len(never)]) {
					wrong.Add(1)
				}
			}
		})
	}
	tables := map[uint32]bool{}
	for range 4 {
		from := rand.IntN(len(change) - 24_000)
		for _, do := range []error{
			s.Admit(change[from : from+24_000]), s.Expel(change[from : from+12_000]),
			s.Replace(30_000, parted(append(contents(0, 2000), change[:28_000]...), 1)),
			s.Replace(2000, parted(stay, 1)),
		} {
			if do != nil {
				t.Error(do)
			}
			id, err := idOf(s.active.m)
			if err != nil {
				t.Error(err)
			}
			tables[uint32(id)] = true
		}
	}
	close(stop)
	readers.Wait()
	t.Logf("%d questions, %d tables", asked.Load(), len(tables))
	if missed.Load() != 0 || wrong.Load() != 0 || len(tables) < 2 {
		t.Errorf("%d were missed, %d were found that are not there, in %d tables", missed.Load(), wrong.Load(), len(tables))
	}
}

// An exchange that fails in its end is an error, and both sides use the same table all the same.
func TestExchangeThatFails(t *testing.T) {
	s, program := hostSet(t)
	stay := contents(0, 1000)
	if err := s.Admit(stay); err != nil {
		t.Fatal(err)
	}
	pin := s.pin(pinActive)
	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(pin, 0o700); err != nil { // nothing can be renamed to it
		t.Fatal(err)
	}
	if err := s.Reserve(100_000); err == nil || s.active.Slots() == 1<<16 {
		t.Errorf("%v, with %d slots in use", err, s.active.Slots())
	}
	if err := s.Expel(stay[:500]); err != nil {
		t.Fatal(err)
	}
	for i, d := range stay {
		if got := program.listed(t, d); got != (i >= 500) {
			t.Fatalf("the kernel finds %v", got)
		}
	}
}

// What another digestd pinned is not taken for a table.
func TestAnotherLayout(t *testing.T) {
	s, _ := hostSet(t)
	spec, err := loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	maps := filepath.Join(s.dir, "maps")
	open := func() error {
		found, err := openMaps(maps, spec)
		closeAll(found)
		return err
	}
	if err := open(); err != nil {
		t.Errorf("the maps of this digestd: %v", err)
	}
	if err := s.Reserve(100_000); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Errorf("with a larger table: %v", err)
	}
	other, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 32, ValueSize: 8, MaxEntries: 1 << 16, Flags: unix.BPF_F_NO_PREALLOC})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	pin := filepath.Join(maps, pinActive)
	if err := os.Remove(pin); err != nil {
		t.Fatal(err)
	}
	if err := other.Pin(pin); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, ErrLayout) {
		t.Errorf("with a map of hashes: %v", err)
	}
}
