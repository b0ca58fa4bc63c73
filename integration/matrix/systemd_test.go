// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// systemd is the real one, as the first process of a machine that has this one's files, with
// a journal of its own. See testdata/systemd.sh.
type systemd struct {
	testing.TB
	pid string // as this process calls it
}

// startSystemd returns once it takes units. It ends with the test.
func startSystemd(t *testing.T) *systemd {
	t.Helper()
	units := t.TempDir()
	for name, text := range map[string]string{
		"test.target": "Wants=systemd-journald.service", "sysinit.target": "", "basic.target": "", "sockets.target": "", "shutdown.target": "",
	} {
		if err := os.WriteFile(filepath.Join(units, name), []byte("[Unit]\nDefaultDependencies=no\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"} {
		if err := os.Symlink(filepath.Join("/usr/lib/systemd/system", name), filepath.Join(units, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("testdata/systemd.sh", units)
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("systemd: %v\n%s", err, said.String())
		}
	})
	parent, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	parent = strings.TrimSpace(parent)
	s := &systemd{TB: t}
	if !pkgtest.Await(func() bool {
		child, _ := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", parent, parent))
		s.pid = strings.TrimSpace(string(child))
		return s.pid != "" && s.command("systemctl", "is-active", "--quiet", "systemd-journald.service").Run() == nil
	}) {
		t.Fatal("systemd does not start")
	}
	return s
}

// command is one that runs on that machine, as by its root.
func (s *systemd) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", s.pid, "--all"}, args...)...)
}

// run runs a command as a transient unit, and returns its exit code and what the journal
// has of it.
func (s *systemd) run(unit string, env []string, args ...string) (code string, journal string) {
	s.Helper()
	start := []string{"systemd-run", "--quiet", "--unit=" + unit, "--property=Type=oneshot", "--property=RemainAfterExit=yes"}
	for _, e := range env {
		start = append(start, "--setenv="+e)
	}
	s.command(append(append(start, "--"), args...)...).Run() // its code is only whether the unit has failed
	show := func(args ...string) string {
		s.Helper()
		out, err := s.command(args...).Output()
		if err != nil {
			s.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		return string(out)
	}
	show("journalctl", "--sync")
	return strings.TrimSpace(show("systemctl", "show", "--property=ExecMainStatus", "--value", unit)),
		show("journalctl", "--no-pager", "--output=cat", "--unit="+unit)
}
