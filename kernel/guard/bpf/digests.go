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
)

// batch is how many digests one call to the kernel carries.
const batch = 4096

// entry is guard.Entry as the kernel has it.
type entry = [guard.EntrySize]byte

func pack(lists, generation uint32) entry {
	return entry(guard.AppendEntry(nil, guard.Entry{Lists: lists, Generation: generation}))
}

// Len returns how many digests there are.
func (s *Set) Len() int { return s.size }

// readDigests counts the digests in the kernel and notes those that several lists hold.
// It adds those that the latest comparison has not seen to older, unless that is nil.
func (s *Set) readDigests(older *[]guard.Digest) error {
	s.size = 0
	clear(s.shared)
	return s.each(func(d guard.Digest, e guard.Entry) {
		s.size++
		switch {
		case older != nil && e.Generation != s.generation:
			*older = append(*older, d)
		case e.Lists > 1:
			s.shared[d] = e.Lists
		}
		s.generation = max(s.generation, e.Generation)
	})
}

// each goes through all digests. do may not change them.
func (s *Set) each(do func(guard.Digest, guard.Entry)) error {
	keys, values := make([]guard.Digest, batch), make([]entry, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := s.active.BatchLookup(&cursor, keys, values, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("cannot read the guard's digests: %w", err)
		}
		for i := range n {
			e, bad := guard.ParseEntry(values[i][:])
			if bad != nil {
				return bad
			}
			do(keys[i], e)
		}
		if err != nil {
			return nil // that were all
		}
	}
}

// Each calls do for each digest with the number of lists that hold it, until an error.
func (s *Set) Each(do func(guard.Digest, uint32) error) error {
	var failed error
	err := s.each(func(d guard.Digest, e guard.Entry) {
		if failed == nil && e.Lists > 0 {
			failed = do(d, e.Lists)
		}
	})
	return errors.Join(failed, err)
}

// bytesOfDigest is about how much memory of the kernel a digest takes while the map that
// has it grows: an entry in the old map and one in the new, and their buckets.
const bytesOfDigest = 320

// Room returns how many digests there can be: as many as fit into a half of the memory
// that is available.
func (s *Set) Room() (most int, err error) {
	free, err := availableMemory("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	const limit = (1 << 30) / 5 * 4 // of the largest map, 80 %
	return int(min(uint64(s.size)+free/2/bytesOfDigest, limit)), nil
}

// availableMemory reads how many bytes of memory can be had without swapping.
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

// Admit adds one list's hold on each digest. When it returns nil, contents with
// them may run. The commit is 0 from then on; after an error, too, and some of
// the digests may have been added.
func (s *Set) Admit(digests []guard.Digest) error {
	if err := s.SetCommit(0); err != nil {
		return err
	}
	if err := s.Reserve(s.size + len(digests)); err != nil {
		return err
	}
	for _, d := range digests {
		err := s.active.Update(d, pack(1, s.generation), ebpf.UpdateNoExist)
		if err == nil {
			s.size++
			continue
		}
		if errors.Is(err, ebpf.ErrKeyExist) {
			n := max(s.shared[d], 1) + 1
			if err = s.active.Update(d, pack(n, s.generation), ebpf.UpdateExist); err == nil {
				s.shared[d] = n
			}
		}
		if err != nil {
			return fmt.Errorf("cannot admit %x: %w", d, err)
		}
	}
	return nil
}

// Expel takes one list's hold on each digest away. When it returns nil, contents
// that no other list holds do not run any more in mode Enforce. A digest that is not there is
// none to take away. The commit is 0 from then on; after an error, too, and some
// of the digests may have been taken.
func (s *Set) Expel(digests []guard.Digest) error {
	if err := s.SetCommit(0); err != nil {
		return err
	}
	var gone []guard.Digest
	for _, d := range digests {
		n := s.shared[d]
		if n <= 1 {
			gone = append(gone, d)
			continue
		}
		if err := s.active.Update(d, pack(n-1, s.generation), ebpf.UpdateExist); err != nil {
			return fmt.Errorf("cannot expel %x: %w", d, err)
		}
		if s.shared[d] = n - 1; n == 2 {
			delete(s.shared, d)
		}
	}
	return s.remove(gone)
}

// remove deletes digests, as many at a time as the kernel takes.
func (s *Set) remove(digests []guard.Digest) error {
	for len(digests) > 0 {
		part := digests[:min(batch, len(digests))]
		n, err := s.active.BatchDelete(part, nil)
		s.size -= n
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			n++ // the one that was not there
		} else if err != nil {
			return fmt.Errorf("cannot remove digests from the guard: %w", err)
		}
		digests = digests[n:]
	}
	return nil
}

// Replace makes the digests those that next returns, each with the number of lists that
// hold it, until next returns io.EOF: first it adds what is missing, then it removes the
// others. After any other error of next it removes nothing. total is how many will come at
// most. A digest that comes twice counts as its last. The commit is 0 from then on.
func (s *Set) Replace(total int, next func() ([]guard.Digest, []uint32, error)) error {
	if err := s.SetCommit(0); err != nil {
		return err
	}
	// Most of what comes is there already, as a rule: there is room for either. If that was not
	// enough addAll makes more.
	if err := s.Reserve(max(s.size, total)); err != nil {
		return err
	}
	s.generation++
	if err := s.addAll(next); err != nil {
		return errors.Join(err, s.readDigests(nil))
	}
	var older []guard.Digest
	if err := s.readDigests(&older); err != nil {
		return err
	}
	return s.remove(older)
}

func (s *Set) addAll(next func() ([]guard.Digest, []uint32, error)) error {
	var values []entry
	for {
		digests, lists, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(digests) == 0 {
			continue
		}
		values = values[:0]
		for _, n := range lists {
			values = append(values, pack(n, s.generation))
		}
		_, err = s.active.BatchUpdate(digests, values, nil)
		for errors.Is(err, unix.E2BIG) {
			if err = s.Reserve(int(s.active.MaxEntries())); err == nil {
				_, err = s.active.BatchUpdate(digests, values, nil)
			}
		}
		if err != nil {
			return fmt.Errorf("cannot add digests to the guard: %w", err)
		}
	}
}

// Reserve makes room for n digests: a larger map takes the place of the one that would
// be more than 80 % full, without a lookup that misses.
func (s *Set) Reserve(n int) error {
	room := guard.Capacity(n)
	if room <= s.active.MaxEntries() {
		return nil
	}
	if uint64(n) > uint64(room) {
		return fmt.Errorf("cannot make room for %d digests in the guard", n)
	}
	larger, err := s.newActive(room)
	if err != nil {
		return fmt.Errorf("cannot make room for %d digests in the guard: %w", n, err)
	}
	if err := s.copyTo(larger); err != nil {
		larger.Close()
		return err
	}
	if err := s.exchange(larger); err != nil {
		larger.Close()
		return fmt.Errorf("cannot exchange the guard's map of digests: %w", err)
	}
	s.active.Close()
	s.active = larger
	return nil
}

func (s *Set) copyTo(m *ebpf.Map) error {
	keys, values := make([]guard.Digest, batch), make([]entry, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := s.active.BatchLookup(&cursor, keys, values, nil)
		done := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !done {
			return fmt.Errorf("cannot read the guard's digests: %w", err)
		}
		if n > 0 {
			if _, err := m.BatchUpdate(keys[:n], values[:n], nil); err != nil {
				return fmt.Errorf("cannot copy the guard's digests: %w", err)
			}
		}
		if done {
			return nil
		}
	}
}
