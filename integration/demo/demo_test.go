// SPDX-License-Identifier: Apache-2.0

// Package demo_test runs the demonstration as a person does who sends its output
// elsewhere. It needs the programs in bin, which make build leaves there.
package demo_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/needs"
)

// TestKeptSandboxHoldsNoOutput: with --keep, digestd and the bus stay; a reader of the
// demonstration's output comes to its end all the same.
func TestKeptSandboxHoldsNoOutput(t *testing.T) {
	needs.Root(t)
	if _, err := os.Stat("../../bin/digestd"); err != nil {
		t.Fatalf("%v; run make build first", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "../demo.sh --keep 2>&1 | cat")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	end := regexp.MustCompile(`kill (\d+) (\d+); rm -rf (\S+)`).FindSubmatch(out)
	if end == nil {
		t.Fatalf("no way to end it (%v):\n%s", err, out)
	}
	box := string(end[3])
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", filepath.Join(box, "gnupg"), "--kill", "all").Run()
		for _, pid := range end[1:3] {
			exec.Command("kill", string(pid)).Run()
		}
		os.RemoveAll(box)
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, pid := range end[1:3] {
		for _, fd := range []string{"0", "1", "2"} {
			held, err := os.Readlink(filepath.Join("/proc", string(pid), "fd", fd))
			if err != nil || held != "/dev/null" && !strings.HasPrefix(held, box) {
				t.Errorf("process %s has %s open as %s (%v)", pid, held, fd, err)
			}
		}
	}
	if ctl := exec.Command(filepath.Join(box, "bin", "digestctl"), "status"); ctl.Run() != nil && ctl.ProcessState.Sys().(syscall.WaitStatus).ExitStatus() != 3 {
		t.Errorf("digestctl status in the sandbox: %v", ctl.ProcessState)
	}
}
