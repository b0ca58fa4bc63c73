// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/hooks/wire"
)

// perFile returns, for each kind of thing that count counts in a run of rpm, how many more
// there are for each file of a package because of the plugin. Costs that do not grow with the
// number of files cancel out, as each run finds the same: nothing.
func (b *box) perFile(count func(args ...string) map[string]int) map[string]float64 {
	b.t.Helper()
	// Files that need not wait for an answer are a few, but how many is chance.
	b.question(wire.Proceed, func(h *wire.Header) *wire.List { return usual(h).(*wire.List) })
	more := map[string]float64{}
	for _, run := range []struct {
		args []string
		sign float64
	}{
		{[]string{"-U", "many-1"}, 1}, {[]string{"-U", "--noplugins", "many-1"}, -1},
		{[]string{"-U", "few-1"}, -1}, {[]string{"-U", "--noplugins", "few-1"}, 1},
	} {
		if err := os.RemoveAll(b.path("/")); err != nil {
			b.t.Fatal(err)
		}
		if err := os.Mkdir(b.path("/"), 0o755); err != nil {
			b.t.Fatal(err)
		}
		for what, n := range count(run.args...) {
			more[what] += run.sign * float64(n) / (manyFiles - fewFiles)
		}
	}
	return more
}

// A label costs one call to the kernel a file, and nothing else does.
func TestCallsPerFile(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		got := b.perFile(b.countCalls)
		labels := got["fsetxattr"] + got["lsetxattr"]
		if math.Abs(labels-1) > 0.001 {
			t.Errorf("%v calls that label, a file; want 1", labels)
		}
		for call, n := range got {
			if call != "fsetxattr" && call != "lsetxattr" && math.Abs(n) > 0.01 {
				t.Errorf("%v calls of %s, a file", n, call)
			}
		}
	})
}

// countCalls returns how often rpm makes each system call.
func (b *box) countCalls(args ...string) map[string]int {
	b.t.Helper()
	out := filepath.Join(b.t.TempDir(), "strace")
	cmd := b.command(args...)
	strace := exec.Command("strace", append([]string{"-qq", "-c", "-o", out, "chroot", b.m.Root, cmd.Path}, cmd.Args[1:]...)...)
	strace.Env = cmd.Env
	if r := b.run(strace); r.code != 0 {
		b.t.Fatalf("rpm under strace: %+v", r)
	}
	table, err := os.ReadFile(out)
	if err != nil {
		b.t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(table)) {
		// share, seconds, microseconds a call, calls, errors if any, name
		if f := strings.Fields(line); len(f) >= 5 && f[len(f)-1] != "total" {
			if n, err := strconv.Atoi(f[3]); err == nil {
				calls[f[len(f)-1]] = n
			}
		}
	}
	if calls["openat"] == 0 {
		b.t.Fatalf("strace counted nothing:\n%s", table)
	}
	return calls
}

func TestAllocationsPerFile(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		got := b.perFile(func(args ...string) map[string]int {
			log := filepath.Join(b.dir, "allocs")
			b.env = []string{"LD_PRELOAD=" + b.m.library("allocs"), "ALLOCS_LOG=" + log}
			b.ok(args...)
			b.env = nil
			count, err := os.ReadFile(b.m.Outside(log))
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(strings.TrimSpace(string(count)))
			if err != nil || n < manyFiles/10 {
				t.Fatalf("counted %q allocations", count)
			}
			return map[string]int{"allocations": n}
		})
		if n := got["allocations"]; math.Abs(n) > 0.01 {
			t.Errorf("%v allocations a file", n)
		}
	})
}

// A package costs one question and its answer.
func TestCallsPerPackage(t *testing.T) {
	everywhere(t, func(t *testing.T, b *box) {
		calls := b.countCalls("-U", "other-1")
		for call, n := range b.countCalls("-U", "plain-1", "third-1") {
			calls[call] = n - calls[call]
		}
		calls["poll"] += calls["ppoll"]
		for call, want := range map[string]int{"sendmsg": 1, "poll": 1, "recvfrom": 1} {
			if calls[call] != want {
				t.Errorf("%d calls of %s, a package; want %d", calls[call], call, want)
			}
		}
	})
}
