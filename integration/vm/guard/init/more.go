// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

// filesystems: what lies below does not matter.
func (m *machine) filesystems() {
	d := program("/t/lower/tool", "overlay")
	for _, dir := range []string{"/t/upper", "/t/work", "/t/merged"} {
		must(os.MkdirAll(dir, 0o755))
	}
	must(unix.Mount("test", "/t/merged", "overlay", 0, "lowerdir=/t/lower,upperdir=/t/upper,workdir=/t/work"))
	m.check("overlayfs, unlisted: refused", refused, run("/t/merged/tool"))
	m.admit(d)
	m.check("overlayfs, listed: runs", nil, run("/t/merged/tool"))
	before, err := m.set.Counts()
	must(err)
	m.check("again: runs", nil, run("/t/merged/tool"))
	after, err := m.set.Counts()
	must(err)
	if newer(6, 2) {
		m.equal("overlayfs is not hashed again", 0, after.Hashed-before.Hashed)
	} else {
		m.equal("overlayfs is hashed by both checks of an exec: the kernel has no bpf_rdonly_cast", 2, after.Hashed-before.Hashed)
	}
	f, err := os.OpenFile("/t/lower/tool", os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteAt([]byte("X"), 6000)
	must(err)
	must(f.Close())
	m.check("overlayfs, altered below: refused", refused, run("/t/merged/tool"))
	program("/t/lower/tool", "overlay")
	m.check("overlayfs, restored below: runs", nil, run("/t/merged/tool"))
	f, err = os.OpenFile("/t/merged/tool", os.O_WRONLY|os.O_APPEND, 0)
	must(err)
	f.Write([]byte("X"))
	must(f.Close())
	m.check("overlayfs, altered by copying up: refused", refused, run("/t/merged/tool"))
	m.expel(d)
	must(unix.Unmount("/t/merged", 0))

	for _, kind := range []string{"ext4", "xfs", "btrfs", "squashfs", "erofs"} {
		m.disk(kind)
	}

	d = program("/t/tool", "user")
	in := func() error {
		cmd := exec.Command("/t/tool")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		}
		return cmd.Run()
	}
	m.check("in a user namespace, unlisted: refused", refused, in())
	m.admit(d)
	m.check("in a user namespace, listed: runs", nil, in())
	m.expel(d)
}

// sets: the digests are exchanged, grow, and outlive who loaded them.
func (m *machine) sets() {
	a, b, keep := program("/t/a", "a"), program("/t/b", "b"), program("/t/keep", "keep")
	number := func(i uint32) (d guard.Digest) {
		binary.BigEndian.PutUint32(d[:], i)
		return d
	}
	const many = 100_000
	all := func(tool guard.Digest, fail error) func() ([]guard.Digest, []uint32, error) {
		i := uint32(0)
		return func() (digests []guard.Digest, lists []uint32, err error) {
			if i == many+3 {
				return nil, nil, io.EOF
			}
			if i >= 50_000 && fail != nil {
				return nil, nil, fail
			}
			for ; i < many+3 && len(digests) < 5000; i++ {
				switch i {
				case many:
					digests, lists = append(digests, m.self), append(lists, 2)
				case many + 1:
					digests, lists = append(digests, tool), append(lists, 1)
				case many + 2:
					digests, lists = append(digests, keep), append(lists, 1)
				default:
					digests, lists = append(digests, number(i)), append(lists, 1)
				}
			}
			return digests, lists, nil
		}
	}
	stop, missed := make(chan struct{}), atomic.Int64{}
	m.admit(a)
	m.admit(keep)
	done := make(chan struct{})
	go func() { // what is listed before and after runs all the while
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				if run("/t/keep") != nil {
					missed.Add(1)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}()
	begun := time.Now()
	must(m.set.Replace(many+3, all(a, nil)))
	m.fact("%d digests in %.2f s", many, time.Since(begun).Seconds())
	m.check("after the exchange a runs", nil, run("/t/a"))
	must(m.set.SetCommit(42))
	m.check("an exchange that is cut short", io.ErrUnexpectedEOF, m.set.Replace(many+3, all(b, io.ErrUnexpectedEOF)))
	m.check("removes nothing", nil, run("/t/a"))
	begun = time.Now()
	must(m.set.Replace(many+3, all(b, nil)))
	m.fact("exchanged in %.2f s", time.Since(begun).Seconds())
	m.check("after another, a is refused", refused, run("/t/a"))
	m.check("and b runs", nil, run("/t/b"))
	n, err := m.set.Commit()
	must(err)
	m.equal("a change makes the commit void", 0, n)
	must(m.set.SetCommit(43))

	if pairs() >= 1000 {
		// All others than those that are there: while both are, no map of the usual size has room.
		fill(m.set, 100_000, m.self, m.self, b, keep)
		m.equal("exchanged for others", 100_003, m.set.Len())
		m.check("what is in both runs", nil, run("/t/b"))
		must(m.set.Replace(many+3, all(b, nil)))
		must(m.set.SetCommit(43))
	}

	m.set.Close()
	m.events.Close()
	m.check("nobody has it open: unlisted is refused", refused, run("/t/a"))
	m.check("nobody has it open: listed runs", nil, run("/t/b"))
	wrong, ran := make(chan struct{}), atomic.Int64{}
	go func() { // what is refused before and after never runs
		defer close(wrong)
		for {
			select {
			case <-stop:
				return
			default:
				if run("/t/a") == nil {
					ran.Add(1)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}()
	for range 2 {
		m.set, err = bpf.Load(bpf.DefaultDir, bpf.Options{Strict: true, Seal: true})
		must(err)
		m.set.Close()
	}
	m.set, err = bpf.Load(bpf.DefaultDir, bpf.Options{Strict: true, Seal: true})
	must(err)
	close(stop)
	<-done
	<-wrong
	m.equal("what is listed ran all the while", 0, missed.Load())
	m.equal("what is not never ran", 0, ran.Load())
	m.events, err = m.set.Events()
	must(err)
	n, err = m.set.Commit()
	must(err)
	m.equal("the commit outlives the process", 43, n)
	m.equal("and the digests", many+3, m.set.Len())
	s, err := m.set.Settings()
	must(err)
	m.equal("and the mode", guard.Enforce, s.Mode)
	m.expel(m.self) // one of two
	m.check("and the number of lists", nil, run("/init"))

	most, err := m.set.Room()
	must(err)
	m.fact("there is room for %d digests", most)
	m.equal("there is room for more, and not without end", true, most > 2*many && most < 100*many)

	var gone []guard.Digest
	for i := range uint32(95_000) {
		gone = append(gone, number(i))
	}
	begun = time.Now()
	must(m.set.Expel(append(gone, number(1<<30)))) // one that is not there
	m.fact("95,000 digests withdrawn in %.3f s", time.Since(begun).Seconds())
	m.equal("the rest stays", many+3-95_000, m.set.Len())
	m.expel(b)
	m.check("withdrawn after all that: refused", refused, run("/t/b"))

	before, err := m.set.Counts()
	must(err)
	for range 700 { // more than the buffer has room for
		run("/t/a")
	}
	m.check("a flood of refusals refuses", refused, run("/t/a"))
	after, err := m.set.Counts()
	must(err)
	if after.Lost > before.Lost {
		m.ok("what was lost is counted")
	} else {
		m.failed("what was lost is counted", fmt.Sprintf("%+v", after))
	}
	m.drain()
}

// races: a writer against a process that maps.
func (m *machine) races() { m.race("without strict", false) }

func (m *machine) strict() {
	must(m.set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit, Strict: true}))
	d := program("/t/library", "strict")
	m.admit(d)
	f, err := os.Open("/t/library")
	must(err)
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	m.check("strict: a library is mapped", nil, err)
	f.Close()
	_, err = os.OpenFile("/t/library", os.O_WRONLY, 0)
	m.check("strict: it cannot be written then", syscall.ETXTBSY, err)
	must(unix.Munmap(mem))
	f, err = os.OpenFile("/t/library", os.O_WRONLY, 0)
	m.check("strict: unmapped it can", nil, err)
	if err == nil {
		f.Close()
	}
	m.expel(d)
	m.race("strict", true)
}

// race opens a library for writing and changes it again and again while it is
// mapped, and counts what was mapped and held other bytes than those listed.
func (m *machine) race(name string, none bool) {
	const path, at = "/t/raced", 100
	d := program(path, "race")
	m.admit(d)
	defer m.expel(d)
	good, err := os.ReadFile(path)
	must(err)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
				f.WriteAt([]byte{^good[at]}, at)
				f.WriteAt(good[at:at+1], at)
				f.Close()
			}
			time.Sleep(100 * time.Microsecond) // or hardly anything is mapped
		}
	}()
	mapped, altered := 0, 0
	tries := 0
	wanted := pairs()
	if none {
		wanted *= 5
	}
	for until := time.Now().Add(6 * time.Minute); mapped < wanted && time.Now().Before(until); tries++ {
		f, err := os.Open(path)
		must(err)
		mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		f.Close()
		if errors.Is(err, refused) {
			continue
		}
		must(err)
		mapped++
		for range 50 {
			if mem[at] != good[at] {
				altered++
				break
			}
		}
		must(unix.Munmap(mem))
	}
	close(stop)
	<-done
	m.fact("%s: of %d tries %d were mapped, %d altered", name, tries, mapped, altered)
	if none {
		m.equal("no mapping had other bytes than those listed", 0, altered)
		if mapped < wanted {
			m.failed("the race was run", fmt.Sprintf("only %d of %d were mapped", mapped, wanted))
		}
	}
	m.drain()
}

// off: the guard goes, and nothing is refused any more.
func (m *machine) off() {
	program("/t/free", "free")
	m.check("before: refused", refused, run("/t/free"))
	m.events.Close()
	m.set.Close()
	m.set = nil
	must(bpf.Unload(bpf.DefaultDir))
	m.check("unloaded: runs", nil, run("/t/free"))
	m.check("nothing is left", os.ErrNotExist, func() error { _, err := os.Stat(bpf.DefaultDir); return err }())
	m.check("unloading nothing", nil, bpf.Unload(bpf.DefaultDir))
}
