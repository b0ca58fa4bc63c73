// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

// bench counts instructions. The machine has to run with -icount shift=0, so that its
// clock counts them: one a nanosecond.
func (m *machine) bench() {
	tool := program("/t/tool", "bench")
	execs(20, "/t/tool") // the first pay for others
	before := m.measure("no guard, before", "/t/tool")
	m.self = digestOf("/init")
	begun := spent()
	set, err := bpf.Load(bpf.DefaultDir, bpf.Options{})
	must(err)
	loaded := spent()
	fill(set, 100_000, m.self, tool)
	filled := spent()
	m.fact("figure: load and attach %d, 100,000 digests %d instructions", loaded-begun, filled-loaded)
	m.equal("to load, attach and fill takes at most 0.8 G instructions", true, filled-begun <= 800_000_000)
	m.size("100,000", 12)
	// Nobody has the maps open meanwhile: a child would copy their descriptors and close them.
	must(set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit}))
	set.Close()
	guarded := m.measure("guard, 100,000 digests", "/t/tool")
	set, err = bpf.Load(bpf.DefaultDir, bpf.Options{})
	must(err)
	must(set.SetExemptions(guard.Exemptions{Cgroups: []uint64{1 << 40}, Mounts: []uint32{1}, Namespace: hostNamespace()}))
	set.Close()
	exempting := m.measure("the same, exemptions", "/t/tool")
	set, err = bpf.Load(bpf.DefaultDir, bpf.Options{Strict: true})
	must(err)
	must(set.SetSettings(guard.Settings{Mode: guard.Enforce, Modules: guard.Audit, Strict: true}))
	var gone []guard.Digest
	for i := range uint32(95_000) {
		d := guard.Digest{31: 1}
		binary.BigEndian.PutUint32(d[:], i)
		gone = append(gone, d)
	}
	begun = spent()
	must(set.Expel(gone))
	m.fact("figure: 95,000 digests withdrawn %d instructions", spent()-begun)
	set.Close()
	strict := m.measure("strict", "/t/tool")
	must(bpf.Unload(bpf.DefaultDir))
	time.Sleep(time.Second)
	begun = spent()
	set, err = bpf.Load(bpf.DefaultDir, bpf.Options{})
	must(err)
	m.fact("figure: load and attach again %d instructions: what the kernel reads and notes once is not among them", spent()-begun)
	if parameter("digestd.whole", "") != "" {
		fill(set, 1_000_000)
		m.size("1,000,000", 115)
	}
	set.Close()
	must(bpf.Unload(bpf.DefaultDir))
	time.Sleep(time.Second)
	begun = spent()
	_, err = bpf.Probe()
	must(err)
	m.fact("figure: to read the kernel's types %d instructions", spent()-begun)
	after := m.measure("no guard, after", "/t/tool")
	// The machine itself changes meanwhile, which is not the guard's.
	none := costs{(before.exec + after.exec) / 2, (before.open + after.open) / 2, (before.write + after.write) / 2, (before.mmap + after.mmap) / 2}
	m.empty(none, guarded)
	m.fanotify(none)
	m.fapolicyd(none)
	m.bound("guard", none, guarded, costs{3, 4, 6, 15})
	m.bound("guard with exemptions", none, exempting, costs{3, 4, 6, 15})
	m.bound("strict", none, strict, costs{4, 4, 10, 25})
}

// spent counts the instructions of this process, without those of waiting.
func spent() int64 {
	var t unix.Timespec
	must(unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t))
	return t.Nano()
}

// costs are numbers of instructions, or percents.
type costs struct{ exec, open, write, mmap int64 }

// bound reports how much more something costs, and whether that is within bounds. They
// are wide enough for the noise of a count; docs/guard.md has the figures.
func (m *machine) bound(name string, none, with, most costs) {
	for _, c := range []struct {
		what              string
		none, with, bound int64
	}{
		{"exec", none.exec, with.exec, most.exec}, {"open and close", none.open, with.open, most.open},
		{"open for writing and close", none.write, with.write, most.write}, {"mmap and munmap of code", none.mmap, with.mmap, most.mmap},
	} {
		more := float64(c.with-c.none) / float64(c.none) * 100
		m.fact("figure: %s: %s %+.1f %%", name, c.what, more)
		if more <= float64(c.bound) {
			m.ok(name + ": " + c.what)
		} else {
			m.failed(name+": "+c.what, fmt.Sprintf("%+.1f %%, want at most %d %%", more, c.bound))
		}
	}
}

// least counts what something costs, of many rounds of n times: what else the machine does only
// adds.
func least(rounds, n int, do func()) int64 {
	least := int64(1 << 62)
	for range rounds {
		begun := time.Now()
		for range n {
			do()
		}
		least = min(least, time.Since(begun).Nanoseconds()/int64(n))
	}
	return least
}

const rounds = 100

// execs counts vfork and exec alone: os/exec would add thousands of instructions of its own,
// which vary.
func execs(rounds int, tool string) int64 {
	attr := &os.ProcAttr{}
	return least(rounds, 5, func() {
		p, err := os.StartProcess(tool, []string{tool}, attr)
		must(err)
		_, err = p.Wait()
		must(err)
	})
}

func opens(rounds int, tool string) int64 {
	return least(rounds, 200, func() {
		fd, err := unix.Open(tool, unix.O_RDONLY, 0)
		must(err)
		unix.Close(fd)
	})
}

// measure counts what an exec, an open with a close, and a mapping of code cost.
func (m *machine) measure(name, tool string) costs {
	c := costs{exec: execs(rounds, tool), open: opens(rounds, tool)}
	c.write = least(rounds, 200, func() {
		fd, err := unix.Open("/t/written", unix.O_WRONLY|unix.O_CREAT, 0o644)
		must(err)
		unix.Close(fd)
	})
	fd, err := unix.Open(tool, unix.O_RDONLY, 0)
	must(err)
	c.mmap = least(rounds, 200, func() {
		mem, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		must(err)
		must(unix.Munmap(mem))
	})
	unix.Close(fd)
	m.fact("figure: %s: exec %d, open and close %d, for writing %d, mmap and munmap of code %d instructions", name, c.exec, c.open, c.write, c.mmap)
	return c
}
