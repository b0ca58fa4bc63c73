// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/kernel/guard"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// datagrams listens where a process sends datagrams to, and returns the next that it sends.
func datagrams(t *testing.T, path string) (next func() string) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() string {
		t.Helper()
		buffer := make([]byte, 1<<16)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

// TestOptions: the configuration says what the guard does, but for a mode on the command line;
// the key of snapshots is a credential of the service manager's.
func TestOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "digestd.conf")
	write(t, path, `guard = "audit"
guard-modules = "enforce"
guard-strict = true
guard-seal = true
guard-doubt = "enforce"
guard-containers = false
guard-exempt = ["ci"]
state = "/state"
socket = "/hook"
`)
	for given, want := range map[string]string{"": "audit", "off": "off", "enforce": "enforce"} {
		o := options{mode: given}
		if err := o.load(path); err != nil {
			t.Fatal(err)
		}
		if o.mode != want || o.modules != "enforce" || !o.strict || !o.seal || o.doubt != "enforce" || o.state != "/state" || o.hook != "/hook" ||
			o.exempt.Runtimes || strings.Join(o.exempt.Named, " ") != "ci" {
			t.Errorf("-mode %q: %+v", given, o)
		}
	}
	write(t, path, "guard = \"sometimes\"\n")
	if err := new(options).load(path); !errors.Is(err, errUsage) {
		t.Errorf("a mode that is none: %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if got := credential("guard-key"); got != "" {
		t.Errorf("without credentials the key is in %s", got)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
	if got := credential("guard-key"); got != "/run/credentials/x/guard-key" {
		t.Errorf("the key is in %s", got)
	}
}

// TestOff: a guard that is off removes what a former one left, and the service manager goes on.
func TestOff(t *testing.T) {
	notified := filepath.Join(t.TempDir(), "notify")
	next := datagrams(t, notified)
	t.Setenv("NOTIFY_SOCKET", notified)
	o := options{mode: "off", modules: "off", dir: filepath.Join(t.TempDir(), "guard"), socket: filepath.Join(t.TempDir(), "guard.sock")}
	if err := os.MkdirAll(filepath.Join(o.dir, "maps"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), o, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if said := next(); said != "READY=1" {
		t.Errorf("the service manager is told %q", said)
	}
	for _, path := range []string{o.dir, o.socket} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	for name, spoil := range map[string]func(o *options){
		"mode":          func(o *options) { o.mode = "sometimes" },
		"guard-modules": func(o *options) { o.modules = "sometimes" },
	} {
		wrong := o
		spoil(&wrong)
		if err := run(t.Context(), wrong, slog.New(slog.DiscardHandler)); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "sometimes") {
			t.Errorf("%s: %v", name, err)
		}
	}
	write(t, o.dir, "no directory")
	if err := run(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file is taken for the guard's directory")
	}
}

// TestCannotLoad: where the guard cannot be loaded nobody is served, and the service manager is
// not told that it is there.
func TestCannotLoad(t *testing.T) {
	dir := t.TempDir() // on no BPF file system
	notified := filepath.Join(dir, "notify")
	next := datagrams(t, notified)
	t.Setenv("NOTIFY_SOCKET", notified)
	o := options{mode: "audit", modules: "off", dir: filepath.Join(dir, "guard"), socket: filepath.Join(dir, "guard.sock")}
	if err := run(t.Context(), o, slog.New(slog.DiscardHandler)); err == nil || errors.Is(err, errUsage) {
		t.Errorf("it ended: %v", err)
	}
	if _, err := os.Lstat(o.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a socket: %v", err)
	}
	notify("STATUS=asked")
	if said := next(); said != "STATUS=asked" {
		t.Errorf("the service manager is told %q", said)
	}
}

// TestBegin: a guard that is to enforce at boot is in doubt without its snapshot; where digestd
// runs already, or nothing is enforced, it waits for what digestd sends.
func TestBegin(t *testing.T) {
	dir := t.TempDir()
	hook := filepath.Join(dir, "hook.sock")
	write(t, hook, "")
	for _, test := range []struct {
		mode, hook string
		doubt      bool
	}{
		{"enforce", filepath.Join(dir, "none"), true},
		{"enforce", hook, false},
		{"audit", filepath.Join(dir, "none"), false},
	} {
		o := options{mode: test.mode, doubt: "audit", state: dir, hook: test.hook}
		begun, err := o.begin(guardtest.NewMemory(), slog.New(slog.DiscardHandler))
		if err != nil || (begun.Doubt != "") != test.doubt || begun.Anyway || begun.Checked {
			t.Errorf("%s, %s: %+v, %v", test.mode, test.hook, begun, err)
		}
	}
	o := options{mode: "enforce", doubt: "sometimes", state: dir}
	if _, err := o.begin(guardtest.NewMemory(), slog.New(slog.DiscardHandler)); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "guard-doubt") {
		t.Errorf("a doubt that is none: %v", err)
	}
}

// TestJournal: what somebody did with the guard is in the journal, with who it was and why.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	next := datagrams(t, filepath.Join(dir, "socket"))
	j := &journal{to: audit.NewJournal(dir)}
	by := protocol.For{UID: 1234, PID: uint32(os.Getpid())}
	for _, test := range []struct {
		do   func()
		says []string
	}{
		{func() { j.switched(protocol.Change{Mode: "off", Reason: "it hurts"}, by) }, []string{"off", "it hurts"}},
		{func() { j.switched(protocol.Change{Mode: "enforce", Trial: time.Hour}, by) }, []string{"enforce", "for 1h0m0s"}},
		{func() { j.switched(protocol.Change{Mode: "enforce", Confirm: true, Reason: "good"}, by) }, []string{"the trial was confirmed: good"}},
		{func() { j.exempted(protocol.Exemption{Group: "ci", Reason: "builds"}, by) }, []string{"ci: builds"}},
		{func() { j.exempted(protocol.Exemption{Group: "ci", End: true}, by) }, []string{"ci"}},
	} {
		test.do()
		record := next()
		for _, want := range append(test.says, "1234") {
			if !strings.Contains(record, want) {
				t.Errorf("%q lacks %q", record, want)
			}
		}
	}
	if (&journal{to: audit.NewJournal(filepath.Join(dir, "none"))}).send(refused(&guard.Event{Path: "/bin/x"}, time.Now(), "")) {
		t.Error("a journal that is not there took a record")
	}
}

// TestUnitOf: the unit of a process is that of its cgroup, and that of a process that is gone
// is none.
func TestUnitOf(t *testing.T) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := unitOf(uint32(os.Getpid())), unitIn(string(groups)); got != want {
		t.Errorf("this process is in %q, want %q", got, want)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	if got := unitOf(uint32(ended.Process.Pid)); got != "" {
		t.Errorf("a process that is gone is in %q", got)
	}
}

// TestProgramStays: while its program is there, nobody takes a guard that ends for one that
// was removed.
func TestProgramStays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool, 1)
	go func() { ended <- removedProgram(ctx, slog.New(slog.DiscardHandler)) }()
	select {
	case removed := <-ended:
		t.Errorf("it ended by itself: %v", removed)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if <-ended {
		t.Error("the program is taken for removed")
	}
}

// TestListenCannot: no socket is made where something else is, or no directory.
func TestListenCannot(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "guard.sock/full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "guard.sock"), filepath.Join(dir, "none/guard.sock")} {
		if l, err := listen(path); err == nil || !strings.HasPrefix(err.Error(), "cannot listen") {
			t.Errorf("%s: %v, %v", path, l, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "guard.sock/full")); err != nil {
		t.Error(err)
	}
}
