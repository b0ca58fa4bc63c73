// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/table"
)

// Set is the loaded guard and the data of its programs. Only one goroutine, in one process, may
// use it at a time.
type Set struct {
	dir    string
	maps   map[string]*ebpf.Map
	inner  *ebpf.MapSpec
	active *active // the digests

	generation uint32 // of the last comparison; never 0
	verified   map[string]uint32
	keeper     *guard.Digest // digest of this program if only keepers may change the set
}

// control is struct control of records.h.
type control struct {
	Mode, Strict, Modules, Overlay uint32
	Largest, Until                 uint64
	Exempt, HostMnt                uint32
	Seal, Unused                   uint32
}

var zero uint32

// newSet takes over the maps, pins new ones, and opens the digests.
func newSet(dir string, loaded *ebpf.Collection, pinned map[string]*ebpf.Map, inner *ebpf.MapSpec) (*Set, error) {
	s := &Set{dir: dir, inner: inner, maps: loaded.Maps}
	loaded.Maps = nil
	err := s.openActive()
	for name, m := range s.maps {
		if err == nil && pinned[name] == nil {
			err = m.Pin(s.pin(name))
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot prepare the guard's maps: %w", err)
	}
	return s, nil
}

func (s *Set) pin(name string) string { return filepath.Join(s.dir, "maps", name) }

// openActive opens the table in which the programs look digests up, or makes it.
func (s *Set) openActive() error {
	var id uint32
	err := s.maps[guardMapDigests].Lookup(zero, &id)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		s.generation = 1
		return s.exchangeFor(table.Capacity(0))
	}
	if err != nil {
		return err
	}
	// A process that ended during an exchange of tables may have left both.
	for _, name := range []string{pinActive, pinNext} {
		m, err := ebpf.LoadPinnedMap(s.pin(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		have, err := idOf(m)
		if err != nil || uint32(have) != id {
			m.Close()
			if err != nil {
				return err
			}
			continue
		}
		if s.active, err = mapTable(m, table.Open); err != nil {
			m.Close()
			return err
		}
		s.generation = s.active.Generation()
		if name == pinNext {
			return os.Rename(s.pin(pinNext), s.pin(pinActive))
		}
		return nil
	}
	return errors.New("the map of digests is not pinned")
}

// exchange makes a the table in which programs look digests up, atomically for them. It may have
// succeeded although it returns an error: s.active is the table in use.
func (s *Set) exchange(a *active) error {
	if err := os.Remove(s.pin(pinNext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := a.m.Pin(s.pin(pinNext)); err != nil {
		return err
	}
	if err := s.sealNext(a.m); err != nil {
		return err
	}
	if err := s.maps[guardMapDigests].Update(zero, uint32(a.m.FD()), ebpf.UpdateAny); err != nil {
		return err
	}
	if s.active != nil {
		s.active.close()
	}
	s.active = a
	return os.Rename(s.pin(pinNext), s.pin(pinActive))
}

// describe tells the programs the properties of the kernel.
func (s *Set) describe(k *Kernel, loaded *ebpf.Collection) error {
	s.verified = map[string]uint32{}
	for name, p := range loaded.Programs {
		info, err := p.Info()
		if err != nil {
			return fmt.Errorf("cannot look at program %s: %w", name, err)
		}
		s.verified[name], _ = info.VerifiedInstructions()
	}
	c, err := s.control()
	if err != nil {
		return err
	}
	c.Overlay = uint32(k.overlay)
	return s.setControl(c)
}

// Verified returns, for each program, how many instructions the kernel's verifier processed.
func (s *Set) Verified() map[string]uint32 { return s.verified }

// Close releases the set. The guard stays active.
func (s *Set) Close() {
	closeAll(s.maps)
	if s.active != nil {
		s.active.close()
	}
}

func (s *Set) control() (c control, err error) {
	if err := s.maps[guardMapControl].Lookup(zero, &c); err != nil {
		return c, fmt.Errorf("cannot read the guard's settings: %w", err)
	}
	return c, nil
}

func (s *Set) setControl(c control) error {
	if err := s.maps[guardMapControl].Update(zero, c, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("cannot change the guard's settings: %w", err)
	}
	return nil
}

// Settings returns the settings in force. After the end of a trial the mode is Audit.
func (s *Set) Settings() (guard.Settings, error) {
	c, err := s.control()
	if err != nil {
		return guard.Settings{}, err
	}
	is := guard.Settings{Mode: guard.Mode(c.Mode), Strict: c.Strict != 0, Seal: c.Seal != 0, Modules: guard.Mode(c.Modules), Largest: c.Largest}
	if c.Until > 0 {
		is.Trial = time.Duration(c.Until) - sinceBoot()
		if is.Trial <= 0 {
			is.Mode, is.Trial = min(is.Mode, guard.Audit), 0
		}
	}
	return is, nil
}

// SetSettings changes the settings for all later checks. Strict and Seal have an effect only if
// Load got the same options.
func (s *Set) SetSettings(to guard.Settings) error {
	c, err := s.control()
	if err != nil {
		return err
	}
	c.Mode, c.Modules, c.Largest, c.Strict, c.Seal, c.Until = uint32(to.Mode), uint32(to.Modules), to.Largest, 0, 0, 0
	if to.Strict {
		c.Strict = 1
	}
	if to.Seal {
		c.Seal = 1
	}
	if to.Trial > 0 {
		c.Until = uint64(sinceBoot() + to.Trial)
	}
	return s.setControl(c)
}

// sinceBoot returns the time by which the kernel measures trials.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // it is there since Linux 2.6.39
	}
	return time.Duration(t.Nano())
}

// Commit returns the index's commit that the digests reflect; 0 if they were changed since, or
// never compared.
func (s *Set) Commit() (n uint64, err error) {
	if err := s.maps[guardMapCommit].Lookup(zero, &n); err != nil {
		return 0, fmt.Errorf("cannot read which commit the guard is at: %w", err)
	}
	return n, nil
}

// SetCommit notes that the digests reflect that commit.
func (s *Set) SetCommit(n uint64) error {
	if err := s.maps[guardMapCommit].Update(zero, n, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("cannot record which commit the guard is at: %w", err)
	}
	return nil
}

// Counts returns the counters, summed over all processors.
func (s *Set) Counts() (sum guard.Counts, err error) {
	var each [][8]uint64
	if err := s.maps[guardMapCounts].Lookup(zero, &each); err != nil {
		return sum, fmt.Errorf("cannot read the guard's counters: %w", err)
	}
	for _, c := range each {
		for i, field := range sum.Fields() {
			*field += c[i]
		}
	}
	return sum, nil
}
