// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel/guard"
)

// TestObjectsAreOfTheirSource builds the objects in another folder, by the command
// that go generate runs, and compares every byte.
func TestObjectsAreOfTheirSource(t *testing.T) {
	needs.Programs(t, "clang-19", "llvm-strip-19")
	data, err := os.ReadFile("generate.go")
	if err != nil {
		t.Fatal(err)
	}
	_, command, ok := strings.Cut(string(data), "//go:generate ")
	if !ok {
		t.Fatal("generate.go has no command")
	}
	dir := filepath.Join(t.TempDir(), "another", "folder")
	if err := os.CopyFS(filepath.Join(dir, "c"), os.DirFS("c")); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(command)
	if !slices.Equal(args[:2], []string{"go", "run"}) {
		t.Fatalf("the command is %q", command)
	}
	// Outside of the module, where go run does not find it.
	program := filepath.Join(t.TempDir(), "bpf2go")
	if out, err := exec.Command("go", "build", "-o", program, args[2]).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, args[3:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	for _, name := range []string{"guard_bpfel.o", "guard_bpfeb.o", "guard_bpfel.go", "guard_bpfeb.go"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its source makes: run go generate ./kernel/guard/bpf", name)
		}
		if strings.HasSuffix(name, ".o") && bytes.Contains(got, []byte(filepath.Dir(dir))) {
			t.Errorf("%s has a path of the machine", name)
		}
	}
}

// TestRecordsAgree holds the layouts and numbers in Go to those of records.h. The compiler
// proves some of the layouts there; the object has those of values of maps.
func TestRecordsAgree(t *testing.T) {
	header, err := os.ReadFile("c/records.h")
	if err != nil {
		t.Fatal(err)
	}
	proven := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:AT|SIZE)\((\w+), (?:(\w+), )?(\d+)\);$`).FindAllStringSubmatch(string(header), -1) {
		proven[m[1]] += m[2] + " " + m[3] + "\n"
	}
	spec, err := loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"control", "counters"} {
		var s *btf.Struct
		if err := spec.Types.TypeByName(name, &s); err != nil {
			t.Fatal(err)
		}
		proven[name] = fmt.Sprintf(" %d\n", s.Size)
		for _, m := range s.Members {
			proven[name] += fmt.Sprintf("%s %d\n", m.Name, m.Offset.Bytes())
		}
	}
	want := map[string]string{
		"event": fmt.Sprintf(" %d\n", guard.EventSize) + "when 0\ninode 8\ncgroup 16\ndevice 24\npid 28\nparent 32\nuid 36\n" +
			"act 40\nreason 41\nrefused 42\nhashed 43\npath_length 44\ndigest 48\ncommand 80\npath 96\n",
		"control": " 48\nmode 0\nstrict 4\nmodules 8\noverlay 12\nlargest 16\nuntil 24\nexempt 32\nhost_mnt 36\nseal 40\nunused 44\n",
		"counters": fmt.Sprintf(" %d\n", 8*len(new(guard.Counts).Fields())) +
			"checks 0\ncached 8\nhashed 16\nmissed 24\nrefused 32\nlost 40\nexempted 48\nvoided 56\n",
	}
	if diff := cmp.Diff(want, proven); diff != "" {
		t.Error(diff)
	}
	enum := func(name string) map[string]uint64 {
		body := regexp.MustCompile(`(?s)enum ` + name + ` \{(.*?)\}`).FindSubmatch(header)
		if body == nil {
			t.Fatalf("records.h has no enum %s", name)
		}
		values, next := map[string]uint64{}, uint64(0)
		for _, m := range regexp.MustCompile(`(?m)(?:^|[ \t,])([A-Z_]+)(?: = (\d+))?(?:,|\s*$| )`).FindAllStringSubmatch(
			regexp.MustCompile(`//.*`).ReplaceAllString(string(body[1]), ""), -1) {
			if m[2] != "" {
				fmt.Sscan(m[2], &next)
			}
			values[m[1]] = next
			next++
		}
		return values
	}
	for name, want := range map[string]map[string]uint64{
		"mode": {"OFF": uint64(guard.Off), "AUDIT": uint64(guard.Audit), "ENFORCE": uint64(guard.Enforce)},
		"act": {"EXEC": uint64(guard.Execute), "MAP": uint64(guard.Map), "PROTECT": uint64(guard.Protect),
			"KERNEL_READ": uint64(guard.KernelRead), "KERNEL_LOAD": uint64(guard.KernelLoad), "WRITE": uint64(guard.Write), "UNSEAL": uint64(guard.Unseal)},
		"reason": {"UNLISTED": uint64(guard.Unlisted), "UNHASHED": uint64(guard.Unhashed), "WRITTEN": uint64(guard.Written),
			"UNSTABLE": uint64(guard.Unstable), "UNKNOWN": uint64(guard.Unknown), "NO_MEMORY": uint64(guard.NoMemory),
			"IN_USE": uint64(guard.InUse), "TOO_LARGE": uint64(guard.TooLarge), "NO_FILE": uint64(guard.NoFile), "SEALED": uint64(guard.Sealed)},
		"overlay": {"OVERLAY_UNKNOWN": uint64(overlayUnknown), "OVERLAY_FILE": uint64(overlayFile), "OVERLAY_STRUCT": uint64(overlayStruct)},
	} {
		if diff := cmp.Diff(want, enum(name)); diff != "" {
			t.Errorf("enum %s: %s", name, diff)
		}
	}
}

// TestEveryProgramIsAttached: a program that the table forgets would guard nothing.
func TestEveryProgramIsAttached(t *testing.T) {
	spec, err := loadGuard()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for name, p := range spec.Programs {
		want = append(want, name)
		if p.License != "GPL" {
			t.Errorf("the licence of %s is %q", name, p.License)
		}
		if p.Type != ebpf.LSM && name != guardProgGuardMapped {
			t.Errorf("%s is of type %v", name, p.Type)
		}
	}
	for _, p := range programs {
		got = append(got, p.name)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
