// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// DefaultDir is the directory in which the guard is pinned.
const DefaultDir = guard.DefaultDir

// Names of pins other than those of the maps in guard.bpf.c.
const (
	pinActive = "active"        // the inner map of the map digests
	pinNext   = "next"          // a larger one that is about to replace it
	setPrefix = guard.SetPrefix // prefix of directories with the links of one set
)

// program is one of the guard's programs, with its place of attachment.
type program struct {
	name   string
	wanted func(*Kernel, Options) bool // nil: always
}

var programs = []program{
	// Attached first: opens for writing must be noticed before any digest is cached.
	{name: guardProgGuardOpen},
	{name: guardProgGuardTruncate},
	{name: guardProgGuardMapped, wanted: func(_ *Kernel, o Options) bool { return o.Strict }},
	{name: guardProgGuardMprotect},
	{name: guardProgGuardMmap},
	{name: guardProgGuardKernelRead},
	{name: guardProgGuardKernelLoad},
	{name: guardProgGuardCheck, wanted: func(k *Kernel, _ Options) bool { return k.execCheck }},
	{name: guardProgGuardExec},
	{name: guardProgGuardSealExec, wanted: sealed},
	{name: guardProgGuardSealMap, wanted: sealed},
	{name: guardProgGuardSealUnlink, wanted: sealed},
	{name: guardProgGuardSealRename, wanted: sealed},
	{name: guardProgGuardSealUmount, wanted: sealed},
}

func sealed(_ *Kernel, o Options) bool { return o.Seal }

// Options select the programs to load.
type Options struct {
	Strict bool // also those that guard.Settings.Strict needs
	Seal   bool // also those that guard.Settings.Seal needs
}

// Load loads and attaches the guard's programs, then detaches a former set. The programs use the
// maps that are pinned in dir, in the mode that these have; new maps are empty and in mode Off.
// After an error the former set is still active. Load makes dir if it is missing; it must be on
// a BPF file system.
func Load(dir string, o Options) (*Set, error) {
	cache := btf.NewCache()
	kernel, err := probe(cache)
	if err != nil {
		return nil, err
	}
	maps := filepath.Join(dir, "maps")
	if err := os.MkdirAll(maps, 0o700); err != nil {
		return nil, fmt.Errorf("cannot pin the guard: %w", err)
	}
	spec, err := loadGuard()
	if err != nil {
		return nil, err
	}
	for _, p := range programs {
		if p.wanted != nil && !p.wanted(kernel, o) {
			delete(spec.Programs, p.name)
		}
	}
	for _, p := range spec.Programs {
		withoutLines(p.Instructions)
	}
	pinned, err := openMaps(maps, spec)
	if err != nil {
		return nil, err
	}
	defer closeAll(pinned)
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: pinned, Cache: cache})
	if err != nil {
		return nil, fmt.Errorf("cannot load the guard: %w", err)
	}
	defer loaded.Close()
	s, err := newSet(dir, loaded, pinned, spec.Maps[guardMapDigests].InnerMap)
	if err != nil {
		return nil, err
	}
	if err := s.describe(kernel, loaded); err != nil {
		s.Close()
		return nil, err
	}
	if err = attach(dir, loaded); err == nil && o.Seal {
		err = s.prepareSeal()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// withoutLines removes the source lines, which the kernel would verify and keep, and which
// appear only in its messages about a refused program. If a program has any lines, the kernel
// wants one for each function, also for those that another kernel lacks.
func withoutLines(program asm.Instructions) {
	for i := range program {
		if program[i].Symbol() == "" {
			program[i] = program[i].WithSource(nil)
		}
	}
}

// ErrLayout means that another version of digestd made the pinned maps. The guard that uses them
// stays active. It must be unloaded before this version can be loaded.
var ErrLayout = errors.New("the guard that is loaded has maps of another layout")

// openMaps opens the maps that are pinned in dir.
func openMaps(dir string, spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	pinned := map[string]*ebpf.Map{}
	for name, want := range spec.Maps {
		m, err := openMap(filepath.Join(dir, name), want)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(pinned)
			return nil, fmt.Errorf("cannot open the guard's map %s: %w", name, err)
		}
		pinned[name] = m
	}
	// The inner map of the digests must be of the expected type; its size may differ.
	m, err := openMap(filepath.Join(dir, pinActive), spec.Maps[guardMapDigests].InnerMap)
	if err == nil {
		m.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		closeAll(pinned)
		return nil, fmt.Errorf("cannot open the guard's digests: %w", err)
	}
	return pinned, nil
}

// openMap opens the map that is pinned at path. It must equal want except for its size.
func openMap(path string, want *ebpf.MapSpec) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		return nil, err
	}
	if want.Flags&unix.BPF_F_INNER_MAP != 0 {
		want = want.Copy()
		want.MaxEntries = m.MaxEntries()
	}
	if err := want.Compatible(m); err != nil {
		m.Close()
		if errors.Is(err, ebpf.ErrMapIncompatible) {
			err = fmt.Errorf("%w: %w", ErrLayout, err)
		}
		return nil, err
	}
	return m, nil
}

// attach attaches and pins the programs, then removes older sets.
func attach(dir string, loaded *ebpf.Collection) (err error) {
	older, err := filepath.Glob(filepath.Join(dir, setPrefix+"*"))
	if err != nil {
		return err
	}
	place := filepath.Join(dir, fmt.Sprintf("%s%d", setPrefix, time.Now().UnixNano()))
	if err := os.Mkdir(place, 0o700); err != nil {
		return fmt.Errorf("cannot pin the guard: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(place)
		}
	}()
	for _, p := range programs {
		prog := loaded.Programs[p.name]
		if prog == nil {
			continue
		}
		l, err := attachProgram(prog)
		if err != nil {
			return fmt.Errorf("cannot attach %s: %w", p.name, err)
		}
		err = l.Pin(filepath.Join(place, p.name))
		l.Close()
		if err != nil {
			return fmt.Errorf("cannot pin %s: %w", p.name, err)
		}
	}
	for _, old := range older {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("cannot let go of the guard that was there: %w", err)
		}
	}
	return nil
}

func attachProgram(p *ebpf.Program) (link.Link, error) {
	if p.Type() == ebpf.Tracing {
		return link.AttachTracing(link.TracingOptions{Program: p})
	}
	return link.AttachLSM(link.LSMOptions{Program: p})
}

// Unload switches the guard off and removes it. It is no error if there is none.
func Unload(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove the guard: %w", err)
	}
	// The mode first: programs stay attached for a moment after their pins are removed.
	if err := switchOff(filepath.Join(dir, "maps", guardMapControl)); err != nil {
		return fmt.Errorf("cannot turn the guard off: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), setPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return fmt.Errorf("cannot remove the guard: %w", err)
	}
	return nil
}

func switchOff(pin string) error {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer m.Close()
	s := &Set{maps: map[string]*ebpf.Map{guardMapControl: m}}
	return s.SetSettings(guard.Settings{})
}

func closeAll(maps map[string]*ebpf.Map) {
	for _, m := range maps {
		m.Close()
	}
}
