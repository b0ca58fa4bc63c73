// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
)

// patience is how long something that must come true may take.
const patience = time.Minute

// machine is a file system with an rpm of its own, of which a test has a copy to
// write to.
type machine struct {
	*testing.T
	name string
	root string // as this process sees it
}

// everywhere runs a test on a copy of each.
func everywhere(t *testing.T, test func(m *machine)) {
	host, trixie, forky := pkgtest.Releases()
	for _, r := range []pkgtest.Release{host, trixie, forky} {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			test(newMachine(t, r.Name, r.Root))
		})
	}
}

// newMachine lays an empty file system over a release's: it sees all that is
// there, and what it writes goes with the test.
func newMachine(t *testing.T, name, root string) *machine {
	t.Helper()
	m := &machine{T: t, name: name, root: pkgtest.Overlay(t, root)}
	for _, path := range []string{"run", "tmp", "etc/rpm", "var/lib/rpm"} {
		if err := os.MkdirAll(filepath.Join(m.root, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Debian's rpm keeps its database in a home, which is where no digestd looks.
	m.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")
	return m
}

func (m *machine) path(p string) string { return filepath.Join(m.root, p) }

func (m *machine) write(path, content string) {
	m.Helper()
	if err := os.WriteFile(m.path(path), []byte(content), 0o644); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) read(path string) string {
	m.Helper()
	data, err := os.ReadFile(m.path(path))
	if err != nil {
		m.Fatal(err)
	}
	return string(data)
}

func (m *machine) exists(path string) bool {
	_, err := os.Lstat(m.path(path))
	return err == nil
}

// command is one that runs on the machine.
func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/bin/env", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"}
	return cmd
}

// run runs it and returns what it said, without what Debian's rpm says of itself.
func (m *machine) run(args ...string) (string, error) {
	changes := func(a string) bool { return slices.Contains([]string{"-i", "-U", "-e"}, a) }
	if m.name == "host" && args[0] == "rpm" && slices.ContainsFunc(args, changes) {
		args = append(slices.Clone(args), "--force-debian")
	}
	cmd := m.command(args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	var lines []string
	for line := range strings.Lines(said.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "rpm: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n"), err
}

// must wants a command to succeed, and to say only what the caller looks at.
func (m *machine) must(args ...string) string {
	m.Helper()
	said, err := m.run(args...)
	if err != nil {
		m.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return said
}

// silent wants it to say nothing.
func (m *machine) silent(args ...string) {
	m.Helper()
	if said := m.must(args...); said != "" {
		m.Errorf("%s said:\n%s", strings.Join(args, " "), said)
	}
}

// daemon runs the machine's digestd until the test ends, or what it returns is
// called. Its socket is there when it returns.
func (m *machine) daemon() (stop func()) {
	m.Helper()
	cmd := m.command("/usr/sbin/digestd")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(patience):
			cmd.Process.Kill()
			<-exited
			m.Error("digestd does not end")
		}
		if m.Failed() {
			m.Logf("digestd's log:\n%s", log.String())
		}
	}
	m.Cleanup(stop)
	for deadline := time.Now().Add(patience); !m.exists("/run/digestd/hook.sock"); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-exited:
			stopped = true
			m.Fatalf("digestd: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			m.Fatal("digestd does not listen")
		}
	}
	return stop
}
