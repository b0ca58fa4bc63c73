// SPDX-License-Identifier: Apache-2.0

// Package guard_test boots kernels as Debian 12, 13 and 14 ship them, in machines
// without a disk that have the program in init and digestd-guard, and has it try the guard there: it
// cannot be tried elsewhere, for what loads it changes the kernel it runs on.
package guard_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/needs"
)

// deadline is how long a machine may run; most take one or two minutes, emulated.
const deadline = 20 * time.Minute

// kernels has, for each release, a folder with the kernel and its modules.
var kernels string

// programs are the machines' only two, init and digestd-guard.
var programs string

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot prepare machines:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	if err := command("./kernels.sh"); err != nil {
		return 0, err
	}
	cache := os.Getenv("DIGESTD_TEST_CACHE")
	if cache == "" {
		cache = "/var/cache/digestd-test"
	}
	kernels = filepath.Join(cache, "kernels")
	dir, err := os.MkdirTemp("", "digestd-guard-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	programs = filepath.Join(dir, "programs")
	if err := command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", programs+"/", "./init", "../../../cmd/digestd-guard"); err != nil {
		return 0, err
	}
	if err := dynamic(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// dynamic adds the dynamic linker, a program and its libraries, for machines without a C library.
func dynamic() error {
	dir := filepath.Join(programs, "dynamic")
	build := []string{"cc", "-O1", "-fPIC", "-fno-stack-protector", "-nostdlib", "-Wl,-z,now", "-Wl,--build-id=none"}
	for _, args := range [][]string{
		{"mkdir", "-p", dir, filepath.Join(programs, "lib64")},
		{"cp", "-L", "/lib64/ld-linux-x86-64.so.2", filepath.Join(programs, "lib64")},
		append(build, "-shared", "-DANSWER=0", "-Wl,-soname,libanswer.so", "-o", dir+"/libanswer.so", "dynamic/answer.c"),
		append(build, "-shared", "-DANSWER=7", "-o", dir+"/libother.so", "dynamic/answer.c"),
		append(build, "-pie", "-o", dir+"/program", "dynamic/program.c", dir+"/libanswer.so"),
	} {
		if err := command(args...); err != nil {
			return err
		}
	}
	return nil
}

func command(args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Every stock kernel refuses what no list holds, and lets everything else run. The
// numbers are those of execs after a withdrawal, and a fifth of those of mappings
// against a writer who changes what is being mapped; make test-vm has 1,000 on each kernel.
func TestGuard(t *testing.T) {
	needs.Root(t)
	for _, k := range []struct {
		release string // Debian's
		pairs   int
	}{
		{"bookworm", 100}, // 6.1
		{"trixie", 1000},  // 6.12
		{"forky", 100},    // 7.2
	} {
		t.Run(k.release, func(t *testing.T) {
			pairs, whole := k.pairs, ""
			if os.Getenv("DIGESTD_TEST_VM") == "whole" {
				pairs, whole = 1000, " digestd.whole=1"
			}
			boot(t, k.release, fmt.Sprintf("digestd.test=all digestd.pairs=%d%s", pairs, whole))
		})
	}
}

// Other command lines of the kernel change nothing, or keep the guard from being used
// at all. make test-vm has them on each kernel.
func TestGuardUnderCommandLines(t *testing.T) {
	needs.Root(t)
	lines := map[string]string{
		"lockdown-integrity":       "lockdown=integrity digestd.test=audit,enforce",
		"lockdown-confidentiality": "lockdown=confidentiality digestd.test=audit,enforce,writes,maps,filesystems",
		"without-bpf":              "lsm=landlock,yama digestd.test=unsuited",
		"another-hash":             "ima_hash=sha512 digestd.test=otherhash",
		"guard-off":                "digestd.guard=off digestd.test=commandline",
		"ima-policy":               "ima_policy=tcb digestd.test=audit,enforce,writes,maps",
		"another-kernel":           "digestd.test=kexec",
	}
	releases := []string{"trixie"}
	if os.Getenv("DIGESTD_TEST_VM") == "whole" {
		lines["a-third-hash"] = "ima_hash=sha1 digestd.test=otherhash"
		lines["guard-audit"] = "digestd.guard=audit digestd.test=auditline"
		releases = []string{"bookworm", "trixie", "forky"}
	}
	for name, line := range lines {
		for _, release := range releases {
			t.Run(name+"/"+release, func(t *testing.T) { boot(t, release, line) })
		}
	}
}

// The guard costs what docs/guard.md says: the machine counts instructions, of which its
// clock takes one for a nanosecond.
func TestFigures(t *testing.T) {
	needs.Root(t)
	if os.Getenv("DIGESTD_TEST_VM") != "whole" {
		t.Skip("make test-vm runs it")
	}
	if err := command("./fapolicyd.sh"); err != nil {
		t.Fatal(err)
	}
	line := "tsc=reliable digestd.test=bench digestd.whole=1 fapolicyd"
	// With ERMS and FSRM the kernel clears a page by one instruction that counts as 4,096, and a
	// program without AVX2 does the same: one page more or less would be 1.6 % of an exec.
	boot(t, "trixie", line, "-cpu", "max,-erms,-fsrm", "-icount", "shift=0,sleep=off")
}

// boot runs a machine until it turns itself off, and makes a subtest of every
// result that it reports.
func boot(t *testing.T, release, line string, options ...string) {
	t.Helper()
	dir := t.TempDir()
	initrd := filepath.Join(dir, "initrd")
	err := command("sh", "-c", `mkdir -p "$1/tree/modules" && cp -r "$2"/* "$1/tree/" && cp "$3"/*.ko "$3"/*.order "$1/tree/modules/" && cp -r "$3/../images" "$1/tree/" &&
		case $5 in *digestd.test=kexec*) cp "$3/vmlinuz" "$1/tree/" ;; esac &&
		case $5 in *fapolicyd*) cp -r "$3/../../fapolicyd/tree/." "$1/tree/" ;; esac &&
		cd "$1/tree" && find . | LC_ALL=C sort | cpio --quiet -o -R 0:0 -H newc >"$4"`, "archive", dir, programs, filepath.Join(kernels, release), initrd, line)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	console := filepath.Join(dir, "console")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg", "-cpu", "max,-avx2", "-smp", "1", "-m", "1024",
		"-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", filepath.Join(kernels, release, "vmlinuz"), "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 "+line,
		"-serial", "file:"+console,
		"-chardev", "stdio,id=results,signal=off", "-serial", "chardev:results",
	)
	cmd.Args = append(cmd.Args, options...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	complete := report(t, out)
	err = cmd.Wait()
	t.Logf("%s, %s: %.0f s", release, line, time.Since(started).Seconds())
	if err != nil || !complete {
		log, _ := os.ReadFile(console)
		t.Errorf("the machine did not come to its end: %v %v %s\nits console:\n%s", ctx.Err(), err, said.String(), log[max(0, len(log)-8000):])
	}
}

// report makes subtests of what a machine says, and says whether that was all.
func report(t *testing.T, in io.Reader) (complete bool) {
	count := 0
	var name string
	var detail []string
	failure := func() {
		if name != "" {
			t.Run(name, func(t *testing.T) { t.Errorf("in the machine: %s", strings.Join(detail, "\n")) })
		}
		name, detail = "", nil
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		word, rest, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), " ")
		if word != "|" {
			failure()
		}
		switch word {
		case "ok":
			count++
			t.Run(rest, func(*testing.T) {})
		case "failed":
			count++
			name = rest
		case "|":
			detail = append(detail, rest)
		case "fact":
			t.Log(rest)
		case "end":
			complete = rest == strconv.Itoa(count) && count > 0
		}
	}
	failure()
	return complete
}
