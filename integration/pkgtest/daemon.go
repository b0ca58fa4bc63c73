// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/bus/bustest"
)

// Patience is how long a daemon may take to be ready, or to end.
const Patience = 2 * time.Minute

// Daemon is digestd on a root, with a bus of its own. Set its fields before
// Start; what it leaves lies in Dir.
type Daemon struct {
	Programs Programs
	Root     *Root
	Dir      string   // configuration, state, lists, socket
	StateDir string   // instead of "state" in Dir
	ListDir  string   // instead of "lists" in Dir
	Config   []string // lines added to the configuration
	Former   bool     // its programs are from before there were policy files
	Args     []string // of the command line, besides -config
	Wrap     []string // a program that executes the daemon, with its arguments
	Bus      *bustest.Bus

	tb     testing.TB
	log    logBuffer
	cmd    *exec.Cmd
	exited chan error
}

// NewDaemon prepares a daemon that lives in dir and keeps the lists of root. It
// ends with the test, which shows its log if it failed.
func NewDaemon(tb testing.TB, programs Programs, root *Root, dir string) *Daemon {
	tb.Helper()
	d := &Daemon{Programs: programs, Root: root, Dir: dir, Bus: bustest.Start(tb), tb: tb}
	for _, sub := range []string{"keys.d", "revoked.d", "blacklist.d", "policy.d", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		d.Kill()
		if tb.Failed() {
			tb.Logf("digestd's log:\n%s", d.Log())
		}
	})
	return d
}

// Lists is the list directory.
func (d *Daemon) Lists() string { return cmp.Or(d.ListDir, filepath.Join(d.Dir, "lists")) }

// State is the state directory.
func (d *Daemon) State() string { return cmp.Or(d.StateDir, filepath.Join(d.Dir, "state")) }

// Keys is the directory of certificates that are trusted besides rpm's.
func (d *Daemon) Keys() string { return filepath.Join(d.Dir, "keys.d") }

// Socket is where hooks connect.
func (d *Daemon) Socket() string { return filepath.Join(d.Dir, "run", "hook.sock") }

// ConfigFile is its configuration, which Prepare writes.
func (d *Daemon) ConfigFile() string { return filepath.Join(d.Dir, "digestd.conf") }

// PID is the number of the running process.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Running reports whether a daemon was started and nobody has seen it end.
func (d *Daemon) Running() bool { return d.cmd != nil }

// Exited reports whether the daemon has ended by itself.
func (d *Daemon) Exited() bool { return len(d.exited) > 0 }

// Signal sends the running daemon a signal.
func (d *Daemon) Signal(sig os.Signal) {
	d.tb.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.tb.Fatal(err)
	}
}

// Log is what all daemons that Start ran have written.
func (d *Daemon) Log() string { return d.log.String() }

// Start runs the daemon and returns how long it took from its execution until
// it said that it is ready: that its lists are in step with rpm's database,
// durable, and that it answers.
func (d *Daemon) Start(env ...string) time.Duration {
	d.tb.Helper()
	took, err := d.start(env)
	if err != nil {
		d.tb.Fatalf("cannot start digestd: %v\n%s", err, d.Log())
	}
	return took
}

// Prepare writes the configuration and returns the command that serves it, with more
// environment.
func (d *Daemon) Prepare(env ...string) *exec.Cmd {
	d.tb.Helper()
	lines := slices.Clone(d.Config)
	if !strings.Contains(strings.Join(lines, "\n"), "audit-trail") {
		lines = append(lines, `audit-trail = "none"`) // the journal of the machine that runs tests is not theirs
	}
	if !d.Former {
		lines = append(lines, fmt.Sprintf("policy = %q", filepath.Join(d.Dir, "policy.d")))
	}
	config := fmt.Sprintf("root = %q\ndbpath = %q\nstate = %q\nlists = %q\nkeys = %q\nrevoked = %q\nblacklist = %q\nsocket = %q\nbus = %q\n%s\n",
		d.Root.Dir, DBPath, d.State(), d.Lists(), d.Keys(), filepath.Join(d.Dir, "revoked.d"), filepath.Join(d.Dir, "blacklist.d"), d.Socket(), d.Bus.Address,
		strings.Join(lines, "\n"))
	if err := os.WriteFile(d.ConfigFile(), []byte(config), 0o644); err != nil {
		d.tb.Fatal(err)
	}
	args := slices.Concat(d.Wrap, []string{filepath.Join(d.Programs.Dir, "digestd"), "-config", d.ConfigFile()}, d.Args)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = &d.log
	return cmd
}

// Spawn runs the daemon without waiting for it. One that runs is killed.
func (d *Daemon) Spawn(env ...string) {
	d.tb.Helper()
	d.Kill()
	d.Execute(d.Prepare(env...))
}

// Execute runs a command that Prepare returned, changed as a test wants it.
func (d *Daemon) Execute(cmd *exec.Cmd) {
	d.tb.Helper()
	if _, err := d.execute(cmd, func() {}); err != nil {
		d.tb.Fatal(err)
	}
}

func (d *Daemon) execute(cmd *exec.Cmd, ended func()) (started time.Time, err error) {
	started = time.Now()
	if err := cmd.Start(); err != nil {
		return started, err
	}
	exited := make(chan error, 1)
	d.cmd, d.exited = cmd, exited
	go func() {
		exited <- cmd.Wait()
		ended()
	}()
	return started, nil
}

func (d *Daemon) start(env []string) (time.Duration, error) {
	d.Kill()
	addr := &net.UnixAddr{Name: filepath.Join(d.Dir, "run", "notify"), Net: "unixgram"}
	if err := os.Remove(addr.Name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	notify, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		return 0, err
	}
	defer notify.Close()
	notify.SetReadDeadline(time.Now().Add(Patience))
	started, err := d.execute(d.Prepare(append(env, "NOTIFY_SOCKET="+addr.Name)...), func() { notify.SetReadDeadline(time.Now()) }) // it will not be ready any more
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return 0, fmt.Errorf("it is not ready: %w", err)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
			return time.Since(started), nil
		}
	}
}

// Stop ends the daemon in good order.
func (d *Daemon) Stop() {
	d.tb.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	if err := d.Wait(); err != nil {
		d.tb.Fatalf("digestd ended badly: %v\n%s", err, d.Log())
	}
}

// Wait waits until the daemon ends by itself and returns how it did.
func (d *Daemon) Wait() (err error) {
	d.tb.Helper()
	select {
	case err = <-d.exited:
		d.cmd = nil
	case <-time.After(Patience):
		d.tb.Fatal("digestd does not end")
	}
	return err
}

// Kill ends the daemon with SIGKILL, if it runs.
func (d *Daemon) Kill() {
	if d.cmd == nil {
		return
	}
	d.cmd.Process.Kill()
	<-d.exited
	d.cmd = nil
}

// logBuffer is written by a process while a test reads it.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
