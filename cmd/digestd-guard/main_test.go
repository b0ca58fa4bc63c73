// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/kernel/guard"
	"golang.org/x/sys/unix"
)

func TestCommandLineOfTheKernel(t *testing.T) {
	for line, want := range map[string]guard.Mode{
		"":                                      guard.Enforce,
		"quiet ro":                              guard.Enforce,
		"digestd.guard=off":                     guard.Off,
		"a digestd.guard=audit b":               guard.Audit,
		"digestd.guard=enforce":                 guard.Enforce,
		"digestd.guard=of":                      guard.Audit,
		"digestd.guard=":                        guard.Audit,
		"xdigestd.guard=off":                    guard.Enforce,
		"digestd.guard=off\n":                   guard.Off,
		"digestd.guard=audit digestd.guard=off": guard.Off,
		"digestd.guard=off digestd.guard=enforce": guard.Off,
	} {
		if got := mostOf(line, slog.New(slog.DiscardHandler)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

func TestUnit(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/sshd.service\n":                "sshd.service",
		"0::/user.slice/user-0.slice/session-3.scope\n":  "session-3.scope",
		"0::/system.slice/docker-1.scope/inner/deeper\n": "docker-1.scope",
		"12:pids:/a.service\n0::/b.service\n":            "b.service",
		"0::/\n":                                         "",
		"0::/../outside\n":                               "",
		"":                                               "",
		"0::relative":                                    "",
	} {
		if got := unitIn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A socket that a killed process left is replaced; one that is served is not.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.sock")
	first, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if l, err := listen(path); err == nil {
		l.Close()
		t.Error("two listen at one socket")
	}
	first.SetUnlinkOnClose(false)
	first.Close()
	if _, err := net.Dial("unix", path); err == nil {
		t.Fatal("the socket is still served")
	}
	second, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// A flood is logged in part, and counted.
func TestPace(t *testing.T) {
	var p pace
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	logged := 0
	for i := range 1000 {
		ok, left := p.allow(at.Add(time.Duration(i) * time.Millisecond))
		if ok {
			logged++
		}
		if left != 0 {
			t.Fatalf("%d were left out before anything was", left)
		}
	}
	if logged != perMinute {
		t.Errorf("%d were logged, want %d", logged, perMinute)
	}
	if ok, left := p.allow(at.Add(time.Minute)); !ok || left != 1000-perMinute {
		t.Errorf("a minute later: %v, %d left out", ok, left)
	}
	if ok, _ := p.allow(at.Add(-time.Hour)); !ok {
		t.Error("a clock that is set back silences the log")
	}
}

// console keeps what is written to it.
type console struct{ bytes.Buffer }

func (*console) Close() error { return nil }

// TestConsole: what the first process could not start is on the console with both ways
// out, also when somebody else was refused the same before, and not without end.
func TestConsole(t *testing.T) {
	keeper, err := protocol.NewKeeper(guardtest.NewMemory(), protocol.Facts{Wanted: protocol.Change{Mode: "audit"}, Most: guard.Enforce})
	if err != nil {
		t.Fatal(err)
	}
	var said console
	w := &watcher{keeper: keeper, log: slog.New(slog.DiscardHandler), console: func() (io.WriteCloser, error) { return &said, nil }}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	e := guard.Event{Act: guard.Execute, Reason: guard.Unlisted, Digest: &guard.Digest{1}, Path: "/sbin/getty", Refused: true, Process: guard.Process{PID: 9, Parent: 5}}
	w.tell(&e, at)
	if said.Len() > 0 {
		t.Errorf("a shell's child is on the console: %s", said.String())
	}
	e.Process.Parent = 1
	for range 2 * perMinute {
		w.tell(&e, at)
	}
	for _, want := range []string{`"/sbin/getty"`, "digestctl guard off", "digestd.guard=off"} {
		if n := strings.Count(said.String(), want); n != perMinute {
			t.Errorf("the console has %s %d times, want %d", want, n, perMinute)
		}
	}
	said.Reset()
	e.Refused = false
	w.tell(&e, at.Add(time.Hour))
	if said.Len() > 0 {
		t.Errorf("what ran is on the console: %s", said.String())
	}
}

// TestConsoleNeverWaits: a console that takes nothing holds nobody up.
func TestConsoleNeverWaits(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	w := &watcher{console: func() (io.WriteCloser, error) { return rawFile(fds[1]), nil }}
	full := rawFile(fds[1])
	for {
		if _, err := full.Write(make([]byte, 4096)); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	w.print("refused\r\n") // and closes it
	if _, err := full.Write([]byte("x")); err != unix.EBADF {
		t.Errorf("the console is left open: %v", err)
	}
	w.console = func() (io.WriteCloser, error) { return nil, os.ErrNotExist }
	w.print("refused\r\n")
}
