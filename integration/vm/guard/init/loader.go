// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/kernel/guard"
)

// The dynamic linker of the C library, a program that needs a library, and that library.
const (
	linker  = "/lib64/ld-linux-x86-64.so.2"
	dynamic = "/dynamic/program"
	library = "/dynamic/libanswer.so"
	preload = "/dynamic/libother.so" // answers 7, where library answers 0
)

// loader: the dynamic linker gets no code that is not listed, in whatever way it is told to load it.
func (m *machine) loader() {
	listed := []guard.Digest{digestOf(linker), digestOf(dynamic), digestOf(library)}
	must(m.set.Admit(listed))
	defer func() { must(m.set.Expel(listed)) }()
	m.equal("a program with its library runs", "", loaded(nil, dynamic))
	m.equal("the dynamic linker runs a listed program", "", loaded(nil, linker, dynamic))

	copyFile(dynamic, "/t/unlisted")
	appendTo("/t/unlisted", "x")
	m.equal("the dynamic linker runs no unlisted program", "refused", loaded(nil, linker, "/t/unlisted"))
	m.equal("an unlisted library is not preloaded", "", loaded([]string{"LD_PRELOAD=" + preload}, dynamic))
	other := digestOf(preload)
	m.admit(other)
	m.equal("a listed one is", "exit status 7", loaded([]string{"LD_PRELOAD=" + preload}, dynamic))
	m.expel(other)
	m.equal("a withdrawn one is not", "", loaded([]string{"LD_PRELOAD=" + preload}, dynamic))

	good, err := os.ReadFile(library)
	must(err)
	appendTo(library, "x")
	m.equal("an altered library is not loaded", "refused", loaded(nil, dynamic))
	must(os.WriteFile(library, good, 0o755))
	m.equal("restored, it is", "", loaded(nil, dynamic))
	must(m.set.Expel(listed[2:]))
	m.equal("withdrawn, it is not", "refused", loaded(nil, dynamic))
	must(m.set.Admit(listed[2:]))
}

// loaded runs a program and says how it ended; "refused" where that was because code may not be mapped.
func loaded(env []string, args ...string) string {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(env, "LD_LIBRARY_PATH=/dynamic")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return ""
	case strings.Contains(string(out), "failed to map segment"):
		return "refused"
	}
	return strings.TrimSpace(fmt.Sprint(err, " ", string(out)))
}

func appendTo(path, content string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(err)
	_, err = f.WriteString(content)
	must(err)
	must(f.Close())
}

// lasting makes a program that runs until it is killed.
func lasting(path string) guard.Digest {
	content := tiny()
	copy(content[64+56:], []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}) // mov $34 (pause), %eax; syscall; jmp back
	must(os.WriteFile(path, content, 0o755))
	return digestOf(path)
}

// running: what runs goes on when it is withdrawn, and does not begin again.
func (m *machine) running() {
	d := lasting("/t/lasting")
	m.admit(d)
	cmd := exec.Command("/t/lasting")
	must(cmd.Start())
	m.expel(d)
	m.check("withdrawn while it runs: refused", refused, run("/t/lasting"))
	m.check("the process that runs goes on", nil, cmd.Process.Signal(unix.Signal(0)))
	must(cmd.Process.Kill())
	cmd.Wait()
	must(os.Rename("/t/lasting", "/t/renamed"))
	m.check("renamed: refused", refused, run("/t/renamed"))
	m.admit(d)
	cmd = exec.Command("/t/renamed")
	m.check("renamed and listed again: runs", nil, cmd.Start())
	if cmd.Process != nil {
		cmd.Process.Kill()
		cmd.Wait()
	}
	m.expel(d)
}

// asked: a process may ask whether a file may be run (AT_EXECVE_CHECK), as interpreters do before
// they read a script.
func (m *machine) asked() {
	d := program("/t/asked", "asked")
	if !newer(6, 14) {
		m.check("the kernel knows no AT_EXECVE_CHECK before 6.14", unix.EINVAL, ask("/t/asked"))
		return
	}
	m.check("asked about an unlisted file: refused", refused, ask("/t/asked"))
	e := m.event("/t/asked")
	m.equal("and told of", fmt.Sprint(guard.Execute, guard.Unlisted, true), fmt.Sprint(e.Act, e.Reason, e.Refused))
	m.admit(d)
	m.check("asked about a listed file: allowed", nil, ask("/t/asked"))
	m.expel(d)
	m.check("asked about a withdrawn file: refused", refused, ask("/t/asked"))
}

// newer says whether the kernel is of a version or of a later one.
func newer(major, minor int) bool {
	var u unix.Utsname
	must(unix.Uname(&u))
	var is, of int
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &is, &of)
	must(err)
	return is > major || is == major && of >= minor
}

// ask asks whether a file may be run, without running it.
func ask(path string) error {
	const atExecveCheck = 0x10000
	name, err := unix.BytePtrFromString(path)
	must(err)
	argv, at := []*byte{name, nil}, unix.AT_FDCWD
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(at), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&argv[1])), atExecveCheck, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// exchange exchanges the whole set of digests again and again, while what all of them have and what
// none of them has is run.
func (m *machine) exchange() {
	if parameter("digestd.whole", "") == "" {
		return // it takes its time
	}
	const wanted = 520
	keep := program("/t/keep", "exchanged")
	program("/t/none", "in no set")
	m.admit(keep)
	var wrong, exchanges int
	tried := make(chan int)
	stop := make(chan struct{})
	go func() {
		defer close(tried)
		for tries := 1; ; tries++ {
			if run("/t/keep") != nil || !errors.Is(run("/t/none"), refused) {
				wrong++
			}
			select {
			case <-stop:
				tried <- tries
				return
			default:
			}
			if tries == wanted {
				tried <- tries
			}
		}
	}()
	tries := 0
	for until := time.Now().Add(5 * time.Minute); tries < wanted && time.Now().Before(until); exchanges++ {
		fill(m.set, uint32(1000+exchanges%2*1000), m.self, keep)
		select {
		case tries = <-tried:
		default:
		}
	}
	close(stop)
	for n := range tried {
		tries = n
	}
	m.fact("%d exchanges, %d tries, %d wrong", exchanges, tries, wrong)
	m.equal("while all digests are exchanged none is missing, and none too many", 0, wrong)
	m.equal("enough was tried, and exchanged", true, tries >= wanted && exchanges >= 20)
	m.expel(keep)
}
