// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

// tamper tries what somebody does who wants to be rid of the guard, as another program than
// its keepers: its argument is the set that is pinned.
func tamper(set string) {
	try := func(name string, err error) {
		if isErr(err, unix.EPERM) {
			err = nil
		} else {
			err = fmt.Errorf("%s: %v", name, err)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	maps := filepath.Join(bpf.DefaultDir, "maps")
	for _, name := range []string{"control", "active", "keepers", "sealed"} {
		try("open map "+name, openPin(filepath.Join(maps, name), 0))
		try("open map "+name+" to read", openPin(filepath.Join(maps, name), unix.BPF_F_RDONLY))
	}
	opened, seen := 0, 0
	for id := uint32(0); ; {
		ids := struct{ start, next, flags uint32 }{start: id}
		if _, err := bpfCall(unix.BPF_MAP_GET_NEXT_ID, unsafe.Pointer(&ids), unsafe.Sizeof(ids)); err != nil {
			break
		}
		id = ids.next
		seen++
		by := struct{ id, next, flags uint32 }{id: id}
		if fd, err := bpfCall(unix.BPF_MAP_GET_FD_BY_ID, unsafe.Pointer(&by), unsafe.Sizeof(by)); err == nil {
			opened++
			unix.Close(fd)
		}
	}
	if opened > 0 || seen < 10 {
		fmt.Printf("%d of %d maps can be opened by their numbers\n", opened, seen)
	}
	for _, folder := range []string{"/proc/1/map_files", "/proc/1/fd"} {
		found, err := openOf(folder, "anon_inode:bpf-map")
		if err != nil || found == 0 {
			fmt.Printf("%s: of %d maps one can be opened, or: %v\n", folder, found, err)
		}
	}
	programs, err := os.ReadDir(set)
	if err != nil || len(programs) == 0 {
		fmt.Println("no programs:", err)
	}
	for _, p := range programs {
		try("remove "+p.Name(), os.Remove(filepath.Join(set, p.Name())))
	}
	try("remove a map", os.Remove(filepath.Join(maps, "digests")))
	try("rename a map", os.Rename(filepath.Join(maps, "digests"), filepath.Join(maps, "other")))
	try("rename the set", os.Rename(set, set+"x"))
	try("unmount", unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH))
}

// openOf tries to open what another process has open or mapped. It returns how many are of a kind,
// and an error if one of them can be opened.
func openOf(folder, kind string) (found int, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if to, err := os.Readlink(path); err != nil || to != kind {
			continue
		}
		found++
		for _, flags := range []int{os.O_RDWR, os.O_RDONLY} {
			if f, err := os.OpenFile(path, flags, 0); err == nil {
				f.Close()
				return found, fmt.Errorf("%s was opened", path)
			}
		}
	}
	return found, nil
}

// seal: nobody but keepers changes the guard.
func (m *machine) seal() {
	const other = "/t/tamperer"
	copyFile("/init", other)
	sets, err := filepath.Glob(bpf.DefaultDir + "/" + guard.SetPrefix + "*")
	must(err)
	if len(sets) != 1 {
		panic(fmt.Sprint("sets: ", sets))
	}
	f, err := os.OpenFile(other, os.O_WRONLY|os.O_APPEND, 0)
	must(err)
	f.WriteString("another content")
	must(f.Close())
	d := digestOf(other)
	m.admit(d)
	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit, Seal: true}))
	m.equal("another program changes nothing", "", output(other, "tamper", sets[0]))
	e := m.sealed()
	m.equal("it is told of", "unseal sealed true tamperer", fmt.Sprint(e.Act, " ", e.Reason, " ", e.Refused, " ", e.Process.Command))
	m.check("a keeper in another process reads", nil, run("/init", "peek"))
	m.check("this process changes settings", nil, m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit, Seal: true}))
	must(m.set.SetKeepers([]guard.Digest{d}))
	m.check("another program becomes a keeper", nil, run(other, "peek"))
	must(m.set.SetKeepers(nil))
	m.check("and is none any more", nil, negate(run(other, "peek")))
	program("/t/tool", "sealed")
	m.check("unlisted is refused all the while", refused, run("/t/tool"))
	events := m.events
	events.Close()
	m.set.Close()
	m.set, err = bpf.Load(bpf.DefaultDir, bpf.Options{Strict: true, Seal: true})
	m.check("a keeper exchanges the programs", nil, err)
	must(err)
	m.events, err = m.set.Events()
	must(err)
	must(m.set.Reserve(60_000)) // another map takes the place of the digests
	m.equal("another program changes nothing then", "", output(other, "tamper", newest()))
	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit}))
	m.check("without the seal it opens maps", nil, run(other, "peek"))
	m.expel(d)
}

func newest() string {
	sets, err := filepath.Glob(bpf.DefaultDir + "/" + guard.SetPrefix + "*")
	must(err)
	return sets[len(sets)-1]
}

// sealed waits for an event of the seal.
func (m *machine) sealed() *guard.Event {
	for {
		e, err := m.events.Next(time.Now().Add(5 * time.Second))
		if err != nil {
			return &guard.Event{}
		}
		if e.Act == guard.Unseal {
			return e
		}
	}
}

// output is what a program prints, and how it ends.
func output(file string, args ...string) string {
	out, err := exec.Command(file, args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return string(out)
}

// peek opens the guard's settings.
func peek() error {
	return openPin(filepath.Join(bpf.DefaultDir, "maps", "control"), 0)
}

// openPin opens what is pinned at a path, and closes it.
func openPin(path string, flags uint32) error {
	name, err := unix.BytePtrFromString(path)
	must(err)
	pin := struct {
		path      *byte
		fd, flags uint32
	}{path: name, flags: flags}
	fd, err := bpfCall(unix.BPF_OBJ_GET, unsafe.Pointer(&pin), unsafe.Sizeof(pin))
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func bpfCall(command uintptr, attributes unsafe.Pointer, size uintptr) (int, error) {
	fd, _, err := unix.Syscall(unix.SYS_BPF, command, uintptr(attributes), size)
	if err != 0 {
		return -1, err
	}
	return int(fd), nil
}

func copyFile(from, to string) {
	data, err := os.ReadFile(from)
	must(err)
	must(os.WriteFile(to, data, 0o755))
}
