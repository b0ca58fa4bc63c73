// SPDX-License-Identifier: Apache-2.0

// Command init is the only program of a machine without a disk. It loads the guard
// into the machine's kernel, tries what the guard is to stop and what it is to let
// through, and reports each on the second serial line, as the scripts of the other
// machines do (see ../../testdata/guest/test/lib.sh).
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		os.Exit(act(os.Args[1:]))
	}
	r := newReporter()
	defer func() {
		if p := recover(); p != nil {
			r.failed("the test itself", fmt.Sprint(p))
		}
		r.end()
		unix.Sync()
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}()
	prepare()
	m := &machine{reporter: r}
	for _, part := range strings.Split(parameter("digestd.test", "all"), ",") {
		m.run(part)
	}
}

// prepare mounts what a machine has.
func prepare() {
	for _, m := range []struct{ kind, place string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"securityfs", "/sys/kernel/security"},
		{"bpf", "/sys/fs/bpf"}, {"tmpfs", "/t"}, {"cgroup2", "/sys/fs/cgroup"},
	} {
		must(os.MkdirAll(m.place, 0o755))
		if err := unix.Mount(m.kind, m.place, m.kind, 0, ""); err != nil && m.kind != "devtmpfs" {
			panic(fmt.Sprintf("cannot mount %s: %v", m.place, err))
		}
	}
	loadModule("overlay")
}

// loadModule loads a module and those that it needs, as far as the kernel has not built
// them in. It reports whether there is one.
func loadModule(name string) bool {
	order, err := os.ReadFile("/modules/" + name + ".order")
	if err != nil {
		return false
	}
	for _, file := range strings.Fields(string(order)) {
		f, err := os.Open("/modules/" + file)
		must(err)
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
			panic(fmt.Sprintf("cannot load %s: %v", file, err))
		}
		f.Close()
	}
	return true
}

// parameter reads one of the kernel's command line.
func parameter(name, otherwise string) string {
	line, err := os.ReadFile("/proc/cmdline")
	must(err)
	for _, word := range strings.Fields(string(line)) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return otherwise
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// reporter writes results to the second serial line.
type reporter struct {
	out   *os.File
	count int
}

func newReporter() *reporter {
	os.MkdirAll("/dev", 0o755)
	unix.Mknod("/dev/ttyS1", unix.S_IFCHR|0o600, int(unix.Mkdev(4, 65)))
	out, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		out = os.Stderr
	}
	return &reporter{out: out}
}

func (r *reporter) ok(name string) {
	r.count++
	fmt.Fprintf(r.out, "ok %s\n", name)
}

func (r *reporter) failed(name, why string) {
	r.count++
	fmt.Fprintf(r.out, "failed %s\n", name)
	for line := range strings.Lines(why) {
		fmt.Fprintf(r.out, "| %s\n", strings.TrimRight(line, "\n"))
	}
}

func (r *reporter) fact(format string, args ...any) {
	fmt.Fprintf(r.out, "fact "+format+"\n", args...)
}

func (r *reporter) end() { fmt.Fprintf(r.out, "end %d\n", r.count) }

// check reports whether err is what was wanted.
func (r *reporter) check(name string, want, err error) {
	if isErr(err, want) {
		r.ok(name)
	} else {
		r.failed(name, fmt.Sprintf("got %v, want %v", err, want))
	}
}

func (r *reporter) equal(name string, want, got any) {
	if fmt.Sprint(want) == fmt.Sprint(got) {
		r.ok(name)
	} else {
		r.failed(name, fmt.Sprintf("got %v, want %v", got, want))
	}
}

// run starts a program and waits for its end.
func run(file string, args ...string) error {
	cmd := exec.Command(file, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) > 0 {
		return fmt.Errorf("%w: %s", err, out)
	}
	return err
}

// within runs do and panics if it takes too long.
func within(d time.Duration, do func()) {
	t := time.AfterFunc(d, func() {
		fmt.Fprintln(os.Stderr, "init: a step took longer than", d)
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	})
	defer t.Stop()
	do()
}
