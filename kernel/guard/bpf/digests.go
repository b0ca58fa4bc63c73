// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/table"
)

// active is the table in which the guard's programs look digests up. This process changes it in
// shared memory, without system calls.
type active struct {
	*table.Table
	m   *ebpf.Map
	mem []byte
}

// mapTable maps the memory of m and calls find, which opens the table in it or makes one.
func mapTable(m *ebpf.Map, find func([]byte) (*table.Table, error)) (*active, error) {
	size := int(m.MaxEntries()) * table.BucketSize
	mem, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map the guard's digests into memory: %w", err)
	}
	t, err := find(mem)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(mem))
	}
	return &active{Table: t, m: m, mem: mem}, nil
}

// close unmaps the table. The kernel keeps the map while programs use it.
func (a *active) close() {
	a.m.Close()
	if err := unix.Munmap(a.mem); err != nil {
		panic(err) // it was mapped at this address
	}
}

// newActive makes an empty table.
func (s *Set) newActive(slots uint32) (*active, error) {
	spec := s.inner.Copy()
	spec.Name, spec.MaxEntries = "digests_active", table.Buckets(slots)
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, err
	}
	a, err := mapTable(m, table.Format)
	if err != nil {
		m.Close()
	}
	return a, err
}

// Len returns the number of digests.
func (s *Set) Len() int { return s.active.Len() }

// Each calls do for each digest with the number of lists that have it, until do returns an
// error.
func (s *Set) Each(do func(guard.Digest, uint32) error) error {
	for d, lists := range s.active.All() {
		if err := do(d, lists); err != nil {
			return err
		}
	}
	return nil
}

// Listed reports for each digest whether a content with it may run.
func (s *Set) Listed(digests []guard.Digest) ([]bool, error) {
	listed := make([]bool, len(digests))
	for i, d := range digests {
		listed[i] = s.active.Lists(d) > 0
	}
	return listed, nil
}

// Room returns the largest possible number of digests: as many as the table has room for, or as
// fit in a table that takes half of the available memory.
func (s *Set) Room() (most int, err error) {
	free, err := availableMemory("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return s.active.Room(free / 2), nil
}

// availableMemory returns how many bytes of memory are available without swapping.
func availableMemory(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("cannot tell how much memory there is: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), "MemAvailable:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 54)
		if err != nil {
			return 0, fmt.Errorf("cannot tell how much memory there is: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("cannot tell how much memory there is: %s does not say (%w)", path, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// Admit counts one more list for each digest. When it returns nil, contents with these digests
// may run. The commit is 0 from then on. After an error, too, and some of the digests may have
// been added.
func (s *Set) Admit(digests []guard.Digest) error {
	if err := s.SetCommit(0); err != nil {
		return err
	}
	if err := s.Reserve(s.Len() + len(digests)); err != nil {
		return err
	}
	for _, d := range digests {
		if err := s.set(d, s.active.Lists(d)+1); err != nil {
			return fmt.Errorf("cannot admit %x: %w", d, err)
		}
	}
	return nil
}

// Expel counts one list fewer for each digest. When it returns nil, contents that no other list
// has do not run any more in mode Enforce. A digest that is not there is ignored. The commit is
// 0 from then on. After an error, too, and some of the digests may have been removed.
func (s *Set) Expel(digests []guard.Digest) error {
	if err := s.SetCommit(0); err != nil {
		return err
	}
	s.active.Drop(digests)
	return nil
}

// Replace replaces the digests by those that next returns, each with the number of lists that
// have it, until next returns io.EOF. It first adds missing digests, then removes the others.
// After any other error of next it removes nothing. total is an upper bound of the number of
// digests. If a digest comes twice, its last number counts. The commit is 0 from then on.
func (s *Set) Replace(total int, next func() ([]guard.Digest, []uint32, error)) error {
	if err := s.SetCommit(0); err != nil {
		return err
	}
	// Usually most of the digests are there already, so there is room for the larger number. If
	// that is not enough, addAll makes more room.
	if err := s.Reserve(max(s.Len(), total)); err != nil {
		return err
	}
	s.generation = max(s.generation+1, 1)
	if err := s.addAll(next); err != nil {
		return err
	}
	s.active.Keep(s.generation)
	// The table may have grown because it had old and new digests at the same time. If there is
	// no memory for a smaller table, this one stays.
	if slots := table.Grown(s.Len()); slots < s.active.Slots() {
		_ = s.exchangeFor(slots)
	}
	return nil
}

func (s *Set) addAll(next func() ([]guard.Digest, []uint32, error)) error {
	for {
		digests, lists, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i, d := range digests {
			if err := s.set(d, lists[i]); err != nil {
				return fmt.Errorf("cannot add digests to the guard: %w", err)
			}
		}
	}
}

// set sets the number of lists that have a digest. If the table has no room, a larger one
// replaces it.
func (s *Set) set(d guard.Digest, lists uint32) error {
	if s.active.Fits(1) || s.active.Lists(d) > 0 {
		if err := s.active.Set(d, lists, s.generation); !errors.Is(err, table.ErrFull) {
			return err
		}
	}
	if err := s.exchangeFor(table.Grown(s.Len() + 1)); err != nil {
		return err
	}
	return s.active.Set(d, lists, s.generation)
}

// Reserve makes room for n digests: if they would fill the table beyond 80 %, a larger one
// replaces it, and no lookup misses a digest meanwhile.
func (s *Set) Reserve(n int) error {
	if s.active.Fits(n - s.Len()) {
		return nil
	}
	slots := table.Capacity(n)
	if uint64(n) > uint64(slots) {
		return fmt.Errorf("cannot make room for %d digests in the guard", n)
	}
	if s.Len() > 0 {
		slots = table.Grown(n)
	}
	if err := s.exchangeFor(slots); err != nil {
		return fmt.Errorf("cannot make room for %d digests in the guard: %w", n, err)
	}
	return nil
}

// exchangeFor replaces the table by one with so many slots and the same digests.
func (s *Set) exchangeFor(slots uint32) error {
	another, err := s.newActive(slots)
	if err != nil {
		return err
	}
	if s.active != nil {
		err = s.active.CopyTo(another.Table)
	}
	if err == nil {
		err = s.exchange(another)
	}
	if err != nil {
		if s.active != another {
			another.close()
		}
		return fmt.Errorf("cannot exchange the guard's table of digests: %w", err)
	}
	return nil
}
