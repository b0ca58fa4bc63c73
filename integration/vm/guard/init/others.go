// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
)

// The cost of the guard is compared with that of other products, and with the least possible
// cost at the same hook.

// empty measures a program that returns at once where the guard's looks for writers. The guard
// cannot cost less there, and is to cost hardly more.
func (m *machine) empty(none, guarded costs) {
	empty := int64(0)
	for _, p := range []struct {
		name string
		spec ebpf.ProgramSpec
	}{
		{"LSM program at file_open", ebpf.ProgramSpec{Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: "file_open"}},
		// The kernel may skip one of this kind, where it runs already on that processor.
		{"tracing program at security_file_open", ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "security_file_open"}},
	} {
		p.spec.License, p.spec.Instructions = "GPL", asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
		prog, err := ebpf.NewProgram(&p.spec)
		must(err)
		var l link.Link
		if p.spec.Type == ebpf.LSM {
			l, err = link.AttachLSM(link.LSMOptions{Program: prog})
		} else {
			l, err = link.AttachTracing(link.TracingOptions{Program: prog})
		}
		must(err)
		with := opens(rounds/2, "/t/tool")
		m.fact("figure: an empty %s: open and close %d instructions, %+.1f %%", p.name, with, percent(none.open, with))
		if p.spec.Type == ebpf.LSM {
			empty = with
		}
		l.Close()
		prog.Close()
		time.Sleep(time.Second)
	}
	if more := guarded.open - empty; more <= 40 {
		m.ok("an open takes hardly more than with an empty program")
	} else {
		m.failed("an open takes hardly more than with an empty program", fmt.Sprintf("%d instructions more, want at most 40", more))
	}
}

func percent(none, with int64) float64 { return float64(with-none) / float64(none) * 100 }

// fanotify measures a process that allows whatever the kernel asks it about, as fapolicyd
// is asked: about each open and exec on a mount.
func (m *machine) fanotify(none costs) {
	for _, asked := range []string{"exec", "open and exec"} {
		cmd := exec.Command("/init", "allow", asked)
		out, err := cmd.StdoutPipe()
		must(err)
		must(cmd.Start())
		_, err = io.ReadFull(out, make([]byte, 1)) // it listens
		must(err)
		exec, open := execs(rounds/4, "/t/tool"), opens(rounds/4, "/t/tool")
		m.fact("figure: fanotify, asked about %s: exec %d (%+.1f %%), open and close %d instructions (%+.1f %%)", asked, exec, percent(none.exec, exec), open, percent(none.open, open))
		must(cmd.Process.Kill())
		cmd.Wait()
	}
}

// allow is the process that answers.
func allow(asked string) error {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	mask := uint64(unix.FAN_OPEN_EXEC_PERM)
	if asked != "exec" {
		mask |= unix.FAN_OPEN_PERM
	}
	if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_MOUNT, mask, unix.AT_FDCWD, "/t"); err != nil {
		return err
	}
	os.Stdout.Write([]byte{1})
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return err
		}
		// Each is of 24 bytes: its length, what it is, and, 16 bytes on, a descriptor.
		for at := 0; at+24 <= n; at += int(binary.NativeEndian.Uint32(buf[at:])) {
			file := binary.NativeEndian.Uint32(buf[at+16:])
			answer := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, file), unix.FAN_ALLOW)
			if _, err := unix.Write(fd, answer); err != nil {
				return err
			}
			unix.Close(int(file))
		}
	}
}

// fapolicyd measures fapolicyd, where the machine has it, with a policy that allows all: it also
// looks at who asks about what, which the process above does not.
func (m *machine) fapolicyd(none costs) {
	const program = "/usr/sbin/fapolicyd"
	if _, err := os.Stat(program); err != nil {
		return
	}
	cmd := exec.Command(program, "--debug-deny")
	out, err := cmd.StderrPipe()
	must(err)
	must(cmd.Start())
	said, ready := []string{}, make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			said = append(said, lines.Text())
			if strings.Contains(lines.Text(), "Starting to listen for events") {
				ready <- true
			}
		}
		ready <- false
	}()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	select {
	case ok := <-ready:
		if !ok {
			m.failed("fapolicyd runs", strings.Join(said, "\n"))
			return
		}
	case <-time.After(5 * time.Minute):
		m.failed("fapolicyd runs", "it does not listen")
		return
	}
	exec, open := execs(rounds/4, "/t/tool"), opens(rounds/4, "/t/tool")
	m.fact("figure: fapolicyd: exec %d (%+.1f %%), open and close %d instructions (%+.1f %%)", exec, percent(none.exec, exec), open, percent(none.open, open))
}

// size tells how much memory the map of digests takes, and whether that is within a bound in MB.
func (m *machine) size(digests string, most float64) {
	active, err := ebpf.LoadPinnedMap(filepath.Join(bpf.DefaultDir, "maps", "active"), nil)
	must(err)
	defer active.Close()
	info, err := active.Info()
	must(err)
	n, ok := info.Memlock()
	if !ok {
		panic("the kernel does not say how much memory a map takes")
	}
	takes := float64(n) / 1e6
	m.fact("figure: %s digests in a table of %d buckets take %.1f MB", digests, info.MaxEntries, takes)
	if name := fmt.Sprintf("%s digests take at most %.0f MB", digests, most); takes <= most {
		m.ok(name)
	} else {
		m.failed(name, fmt.Sprintf("%.1f MB", takes))
	}
}

// fill puts many digests into the guard, and what else has to run.
func fill(set *bpf.Set, many uint32, others ...guard.Digest) {
	total := many + uint32(len(others))
	i := uint32(0)
	must(set.Replace(int(total), func() (digests []guard.Digest, lists []uint32, err error) {
		if i == total {
			return nil, nil, io.EOF
		}
		for ; i < total && len(digests) < 8192; i++ {
			d := guard.Digest{31: 1}
			binary.BigEndian.PutUint32(d[:], i)
			if i >= many {
				d = others[i-many]
			}
			digests, lists = append(digests, d), append(lists, 1)
		}
		return digests, lists, nil
	}))
}
