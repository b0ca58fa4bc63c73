// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// Keys of the map sealed, as in guard.bpf.c.
func sealedMap(id ebpf.MapID) uint64    { return 1<<32 | uint64(id) }
func sealedFS(device uint64) uint64     { return 2<<32 | uint64(kernelDevice(device)) }
func sealedFolder(inode uint64) uint64  { return 3<<32 | uint64(uint32(inode)) }
func kernelDevice(device uint64) uint32 { return unix.Major(device)<<20 | unix.Minor(device) }

// maxKeepers is how many programs may change a sealed guard.
const maxKeepers = 64

// prepareSeal makes this program a keeper and notes what only keepers may change after the next
// change of settings, which may put the seal in force.
func (s *Set) prepareSeal() error {
	own, err := digestOfSelf()
	if err == nil {
		s.keeper = &own
		err = s.maps[guardMapKeepers].Update(own, uint32(1), ebpf.UpdateAny)
	}
	var since uint64
	if err == nil {
		since, err = startOfSelf()
	}
	if err == nil {
		err = s.maps[guardMapKeeping].Update(uint32(os.Getpid()), since, ebpf.UpdateAny)
	}
	if err == nil {
		err = s.sealAll()
	}
	if err != nil {
		return fmt.Errorf("cannot seal the guard: %w", err)
	}
	return nil
}

// sealAll seals all parts of the guard. It adds before it removes.
func (s *Set) sealAll() error {
	var keys []uint64
	for _, m := range s.maps {
		id, err := idOf(m)
		if err != nil {
			return err
		}
		keys = append(keys, sealedMap(id))
	}
	id, err := idOf(s.active.m)
	if err != nil {
		return err
	}
	keys = append(keys, sealedMap(id))
	folders, err := filepath.Glob(filepath.Join(s.dir, setPrefix+"*"))
	if err != nil {
		return err
	}
	for _, folder := range append(folders, s.dir, filepath.Join(s.dir, "maps")) {
		var st unix.Stat_t
		if err := unix.Stat(folder, &st); err != nil {
			return &os.PathError{Op: "stat", Path: folder, Err: err}
		}
		keys = append(keys, sealedFS(st.Dev), sealedFolder(st.Ino))
	}
	return exchangeKeys(s.maps[guardMapSealed], keys)
}

// sealNext seals one more map.
func (s *Set) sealNext(m *ebpf.Map) error {
	id, err := idOf(m)
	if err != nil {
		return err
	}
	return s.maps[guardMapSealed].Update(sealedMap(id), uint32(1), ebpf.UpdateAny)
}

func idOf(m *ebpf.Map) (ebpf.MapID, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("the kernel does not number maps")
	}
	return id, nil
}

// SetKeepers permits only programs with these digests, and this program, to change the guard
// while it is sealed. At most 63 of the digests count.
func (s *Set) SetKeepers(digests []guard.Digest) error {
	if s.keeper != nil {
		digests = append([]guard.Digest{*s.keeper}, digests...)
	}
	if err := exchangeKeys(s.maps[guardMapKeepers], digests[:min(len(digests), maxKeepers)]); err != nil {
		return fmt.Errorf("cannot change who touches the guard: %w", err)
	}
	return nil
}

// exchangeKeys makes keys the contents of a map. A key that was there before is never missing
// meanwhile.
func exchangeKeys[K comparable](m *ebpf.Map, keys []K) error {
	wanted := make(map[K]bool, len(keys))
	for _, key := range keys {
		wanted[key] = true
		if err := m.Update(key, uint32(1), ebpf.UpdateAny); err != nil {
			return err
		}
	}
	var old []K
	var key K
	var value uint32
	all := m.Iterate()
	for all.Next(&key, &value) {
		if !wanted[key] {
			old = append(old, key)
		}
	}
	if err := all.Err(); err != nil {
		return err
	}
	for _, key := range old {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// digestOfSelf returns the digest of the program that this process runs.
func digestOfSelf() (d guard.Digest, err error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return d, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return d, err
	}
	return guard.Digest(h.Sum(nil)), nil
}

// startOfSelf returns the start time of this process, in units of 10 ms since boot.
func startOfSelf() (uint64, error) {
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, err
	}
	// The name of the program is in parentheses, and may itself contain some.
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	fields := strings.Fields(rest)
	const start = 22 - 3 // proc(5): the 22nd field; the third, the state, is the first one here
	if len(fields) <= start {
		return 0, fmt.Errorf("/proc/self/stat has %d fields", len(fields))
	}
	return strconv.ParseUint(fields[start], 10, 64)
}
