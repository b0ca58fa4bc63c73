// SPDX-License-Identifier: Apache-2.0

package preflight

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/kernel/guard"
)

func here(listed func(guard.Digest) bool) Machine {
	return Machine{Proc: "/proc", Shells: "/etc/shells", Listed: func(_ context.Context, digests []guard.Digest) ([]bool, error) {
		answers := make([]bool, len(digests))
		for i, d := range digests {
			answers[i] = listed(d)
		}
		return answers, nil
	}}
}

// This very process runs, and a shell is needed with all that it is linked with.
func TestExamine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := hash(self)
	if err != nil {
		t.Fatal(err)
	}
	r, err := here(func(guard.Digest) bool { return false }).Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	find := func(path string) *Finding {
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Path == path })
		if i < 0 {
			t.Fatalf("%s is not among the %d findings", path, len(r.Findings))
		}
		return &r.Findings[i]
	}
	if f := find(self); f.Digest != hex.EncodeToString(want[:]) || !strings.HasPrefix(f.Why, "runs as preflight") {
		t.Errorf("%+v", f)
	}
	find("/bin/sh")
	for _, file := range linked("/bin/sh") {
		find(file)
	}
	if r.Looked != len(r.Findings) {
		t.Errorf("%d files were looked at, and %d would be refused: want the same", r.Looked, len(r.Findings))
	}
	r, err = here(func(d guard.Digest) bool { return d != want }).Examine(t.Context())
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Path != self {
		t.Errorf("all but one are listed: %+v, %v", r.Findings, err)
	}
}

// A program needs the libraries that the dynamic linker names.
func TestNeeds(t *testing.T) {
	out, err := exec.Command("ldd", "/bin/sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	needs("/bin/sh", func(path, _ string) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Error(err)
		}
		got[real] = true
	})
	for _, word := range strings.Fields(string(out)) {
		if !strings.HasPrefix(word, "/") {
			continue
		}
		real, err := filepath.EvalSymlinks(word)
		if err != nil {
			t.Fatal(err)
		}
		if !got[real] {
			t.Errorf("%s is missing in %v", real, got)
		}
	}
	if len(got) == 0 {
		t.Error("/bin/sh needs nothing")
	}
}

func TestCode(t *testing.T) {
	const maps = `00400000-0040b000 r-xp 00000000 fd:00 1 /usr/bin/a program
0060b000-0060c000 r--p 0000b000 fd:00 1 /usr/bin/data
7f0000000000-7f0000001000 r-xp 00000000 fd:00 2 /usr/lib/old (deleted)
7f0000002000-7f0000003000 rwxp 00000000 00:00 0
7f0000004000-7f0000005000 r-xp 00000000 00:00 0                          [vdso]
7f0000006000-7f0000007000 r-xs 00000000 00:01 3 /memfd:jit
nonsense
`
	got := slices.Collect(code(strings.NewReader(maps)))
	if diff := cmp.Diff([]string{"/usr/bin/a program", "/memfd:jit"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsWaitedFor(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if _, err := hash(fifo); err == nil {
		t.Error("a FIFO was hashed")
	}
	if got := linked(fifo); got != nil {
		t.Errorf("a FIFO needs %v", got)
	}
	if _, err := hash(fifo + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// Each condition of the guard is checked, and a missing one has advice.
func TestConditions(t *testing.T) {
	top := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		file := filepath.Join(top, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	missing := func() (names []string) {
		for _, c := range (Machine{Top: top}).Conditions() {
			if !c.OK {
				names = append(names, c.Name)
				if c.Text == "" || c.Advice == "" {
					t.Errorf("%+v lacks words", c)
				}
			}
		}
		return names
	}
	if diff := cmp.Diff([]string{"lsm", "btf"}, missing()); diff != "" {
		t.Error(diff)
	}
	write("sys/kernel/security/lsm", "capability,bpffs,yama\n") // a name that only begins so
	write("sys/kernel/btf/vmlinux", "")
	write("proc/kallsyms", "0 t bpf_ima_file_hash_other\n0 t __bpf_prog_enter_sleepable\t[module]\nnonsense\n")
	if diff := cmp.Diff([]string{"lsm", "btf", "helper", "recursion"}, missing()); diff != "" {
		t.Error(diff)
	}
	write("sys/kernel/security/lsm", "capability,bpf")
	write("sys/kernel/btf/vmlinux", "types")
	write("proc/kallsyms", "0 T bpf_ima_file_hash\n0 T __bpf_prog_enter_sleepable_recur\t[vmlinux]\n")
	if diff := cmp.Diff([]string(nil), missing()); diff != "" {
		t.Error(diff)
	}
	if (Report{Conditions: []Condition{{Name: "lsm"}}}).Passed() || !(Report{Conditions: []Condition{{Name: "lsm", OK: true}}}).Passed() || (Report{Findings: []Finding{{}}}).Passed() {
		t.Error("a report is passed that is not, or the other way round")
	}
}

// The owner is asked if something runs containers, and only then.
func TestContainers(t *testing.T) {
	m := Machine{Top: t.TempDir()}
	if c, found := m.Containers(); found {
		t.Errorf("nothing is installed: %+v", c)
	}
	for _, path := range []string{"usr/bin/podman", "usr/bin/containerd"} {
		file := filepath.Join(m.Top, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	c, found := m.Containers()
	if !found || !c.OK || !strings.HasPrefix(c.Text, "Podman, containerd can run containers") || !strings.Contains(c.Text, "guard-containers") || c.Advice == "" {
		t.Errorf("%v, %+v", found, c)
	}
}

// A login loads modules that no program names, so they are looked at.
func TestModules(t *testing.T) {
	found := modules()
	if !slices.ContainsFunc(found, func(path string) bool { return strings.HasSuffix(path, "/security/pam_unix.so") }) ||
		!slices.ContainsFunc(found, func(path string) bool { return strings.Contains(path, "/libnss_") }) {
		t.Errorf("found %v", found)
	}
	for _, path := range found {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %v", path, err)
		}
	}
}
