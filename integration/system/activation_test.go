// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// manager does for digestd what systemd does by digestd.socket and
// FileDescriptorStoreMax=: it holds the socket that package managers connect to,
// and what digestd leaves in its keeping (sd_listen_fds(3), sd_notify(3)).
type manager struct {
	*machine
	socket *os.File
	notify *net.UnixConn
	kept   []kept
}

type kept struct {
	name string
	file *os.File
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := newMachine(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: m.In("run", "hook.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	g := &manager{machine: m}
	if g.socket, err = l.File(); err != nil {
		t.Fatal(err)
	}
	g.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.In("run", "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.socket.Close()
		g.notify.Close()
		for _, k := range g.kept {
			k.file.Close()
		}
	})
	return g
}

// launch runs digestd with the socket, everything that was left, and more environment.
func (g *manager) launch(env ...string) {
	g.Helper()
	g.Kill()
	daemon := g.Prepare(append(env, "LISTEN_FDS="+strconv.Itoa(1+len(g.kept)), "NOTIFY_SOCKET="+g.In("run", "notify"))...)
	cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, daemon.Args...)...)
	cmd.Stderr = daemon.Stderr
	names := []string{"hook"}
	cmd.ExtraFiles = []*os.File{g.socket}
	for _, k := range g.kept {
		names = append(names, k.name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, k.file)
	}
	cmd.Env = append(daemon.Env, "LISTEN_FDNAMES="+strings.Join(names, ":"))
	g.Execute(cmd)
}

// listen takes one message of digestd and does what it asks.
func (g *manager) listen() (lines []string) {
	g.Helper()
	buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := g.notify.ReadMsgUnix(buf, oob)
	if err != nil {
		g.Fatalf("digestd says nothing to its manager: %v\n%s", err, g.Log())
	}
	lines = strings.Split(string(buf[:n]), "\n")
	name := ""
	for _, l := range lines {
		if v, ok := strings.CutPrefix(l, "FDNAME="); ok {
			name = v
		}
	}
	switch {
	case slices.Contains(lines, "FDSTORE=1"):
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(messages) != 1 {
			g.Fatalf("nothing comes with %q: %v", lines, err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			g.Fatalf("%d descriptors come with %q: %v", len(fds), lines, err)
		}
		unix.CloseOnExec(fds[0])
		g.kept = append(g.kept, kept{name, os.NewFile(uintptr(fds[0]), name)})
	case slices.Contains(lines, "FDSTOREREMOVE=1"):
		g.kept = slices.DeleteFunc(g.kept, func(k kept) bool {
			if k.name == name {
				k.file.Close()
			}
			return k.name == name
		})
	}
	return lines
}

// up launches digestd and returns once it is ready.
func (g *manager) up(env ...string) {
	g.Helper()
	g.launch(env...)
	g.notify.SetReadDeadline(time.Now().Add(time.Minute))
	for !slices.Contains(g.listen(), "READY=1") {
	}
}

// down stops digestd and takes what it leaves.
func (g *manager) down() {
	g.Helper()
	g.Stop()
	g.heard()
}

// heard does what a digestd asked that has ended: all that was sent before.
func (g *manager) heard() {
	g.Helper()
	for {
		g.notify.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		raw, err := g.notify.SyscallConn()
		g.OK(err)
		waiting := false
		raw.Control(func(fd uintptr) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			waiting = err == nil && n == 1
		})
		if !waiting {
			return
		}
		g.notify.SetReadDeadline(time.Now().Add(time.Minute))
		g.listen()
	}
}

func (g *manager) again() {
	g.Helper()
	g.down()
	g.up()
}

// gate builds a package whose scriptlet waits until somebody writes to /gate of
// the root, and returns its file and what opens the gate.
func (m *machine) gate(requires string) (file string, wait func(), open func()) {
	m.Helper()
	files, err := pkgtest.BuildSpec(m.Dir, `Name: gate
Version: 1
Release: 1
Summary: a package that waits
License: Apache-2.0
BuildArch: noarch
`+requires+`
%description
It waits.
%install
mkdir -p %{buildroot}/usr/share/gate && echo gate >%{buildroot}/usr/share/gate/file
%files
/usr/share/gate
%post -p <lua>
local f = io.open("/gate")
f:read("*a")
f:close()
`)
	if err != nil || len(files) != 1 {
		m.Fatal(files, err)
	}
	fifo := m.In("root", "gate")
	m.OK(syscall.Mkfifo(fifo, 0o600))
	opened := make(chan *os.File, 1)
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err == nil {
			opened <- f
		}
	}()
	var f *os.File
	wait = func() {
		m.Helper()
		select {
		case f = <-opened:
		case <-time.After(time.Minute):
			m.Fatal("rpm never ran the scriptlet")
		}
	}
	return files[0], wait, func() { f.Close() }
}

// TestRestartDuringTransaction: rpm does not notice that digestd is restarted
// while it works, and its lists and labels are the same as without.
func TestRestartDuringTransaction(t *testing.T) {
	g := newManager(t)
	g.Config = []string{"unsigned = \"allow\"\n"}
	g.importKey("vendor")
	g.up()
	upgrade := []string{"-U"}
	var old, want []string
	for i := range 12 {
		name := fmt.Sprintf("p%02d", i)
		old = append(old, g.build(name+"-1-1.noarch", "/usr/share/"+name+"=one"))
		upgrade = append(upgrade, g.build(name+"-2-1.noarch", "/usr/share/"+name+"=two"))
		want = append(want, "tlv-"+name+"-0:2-1.noarch")
	}
	g.RPM(append([]string{"-U"}, old...)...)
	gate, wait, open := g.gate("Requires: p00 p01 p02 p03 p04 p05")
	cmd := exec.Command("cp", gate, g.In("packages", "gate-1-1.noarch.rpm"))
	g.OK(cmd.Run())
	cmd = g.RPMCommand(append(upgrade, "gate-1-1.noarch.rpm")...)
	out, err := cmd.StderrPipe()
	g.OK(err)
	g.OK(cmd.Start())
	wait()
	g.again()
	if n := len(g.Names()); n <= 12 || n == 25 {
		t.Errorf("%d lists: the restart was not in the middle", n)
	}
	if log := g.Log(); !strings.Contains(log, "transaction taken over") || strings.Contains(log, "ready before the first sync") {
		t.Errorf("nothing was taken over, or the next digestd waited for its end:\n%s", log)
	}
	g.again()
	if len(g.kept) != 0 {
		t.Errorf("what was taken over is still kept: %v", g.kept)
	}
	open()
	said, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || strings.Contains(string(said), "digestd") {
		t.Errorf("rpm: %v, it said:\n%s", err, said)
	}
	g.WantLists(append([]string{"tlv-gate-0:1-1.noarch"}, want...)...)
	for i := range 12 {
		label := make([]byte, 256)
		n, err := unix.Lgetxattr(g.In("root", "usr", "share", fmt.Sprintf("p%02d", i)), "security.digest_list", label)
		if err != nil || string(label[:max(n, 0)]) != want[i] {
			t.Errorf("p%02d has label %q (%v), want %q", i, label[:max(n, 0)], err, want[i])
		}
	}
	g.Wholesome()
	if aside, err := os.ReadDir(g.Lists() + ".quarantine"); err != nil || len(aside) > 0 {
		t.Errorf("put aside: %v %v", aside, err)
	}
	// The index has the changes of that transaction: no version before it comes back.
	if out, err := g.RPMCommand("-U", "--oldpackage", old[0]).CombinedOutput(); err == nil || !strings.Contains(string(out), "older") {
		t.Errorf("rpm goes back: %v\n%s", err, out)
	}
	g.Must("status")
}

// TestRestartBetweenMessages: wherever digestd is restarted in a transaction,
// the next one answers.
func TestRestartBetweenMessages(t *testing.T) {
	g := newManager(t)
	g.importKey("vendor")
	region, sigs := g.headerOf(g.build("good-1-1.noarch"))
	client := wire.NewClient(g.dial()) // nobody serves yet: it waits in the socket
	g.up()
	g.again()
	verdict, err := client.Begin(t.Context(), g.begin(brings("good", "1")))
	if err != nil || verdict.Decision != wire.Assured {
		t.Fatalf("verdict %+v, %v", verdict, err)
	}
	g.again()
	list, err := client.Header(t.Context(), &wire.Header{Type: wire.Added, Region: region, Signatures: sigs})
	if err != nil || list.Decision != wire.ListNamed {
		t.Fatalf("list %+v, %v", list, err)
	}
	g.again()
	if _, err := client.End(t.Context(), &wire.End{}); err != nil {
		t.Fatal(err)
	}
	g.WantLists() // it was never installed
	g.Must("status")

	// A test run, too.
	client = wire.NewClient(g.dial())
	begin := g.begin(brings("good", "1"))
	begin.Flags = 1
	if verdict, err := client.Begin(t.Context(), begin); err != nil || verdict.Decision != wire.Assured {
		t.Fatalf("verdict of a test run %+v, %v", verdict, err)
	}
	g.again()
	if _, err := client.End(t.Context(), &wire.End{}); err != nil {
		t.Fatal(err)
	}
}

// TestStopDuringTransaction: stopped for good, with nobody keeping connections,
// rpm goes on and says so, and the next start makes it good.
func TestStopDuringTransaction(t *testing.T) {
	g := newManager(t)
	g.Config = []string{"unsigned = \"allow\"\n"}
	g.importKey("vendor")
	g.up()
	gate, wait, open := g.gate("")
	cmd := g.RPMCommand("-U")
	cmd.Args = append(cmd.Args, gate)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	g.OK(err)
	wait()
	g.down()
	for _, k := range g.kept {
		k.file.Close()
	}
	g.kept = nil
	open()
	said, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || strings.Count(string(said), "digestd: no answer") != 1 {
		t.Errorf("rpm: %v, it said:\n%s", err, said)
	}
	g.up()
	g.WantLists("tlv-gate-0:1-1.noarch")
	g.Must("status")
}

// TestRefusedStart: what keeps digestd from starting is said to the package
// manager that made systemd start it, at once, and that goes on.
func TestRefusedStart(t *testing.T) {
	g := newManager(t)
	g.Config = []string{"mode = \"enforced\"\n"}
	cmd := g.RPMCommand("-U", g.build("good-1-1.noarch", "key="))
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	g.OK(err)
	poll := []unix.PollFd{{Fd: int32(g.socket.Fd()), Events: unix.POLLIN}}
	if !pkgtest.Await(func() bool { n, _ := unix.Poll(poll, 0); return n == 1 }) {
		t.Fatal("rpm never connected")
	}
	g.launch()
	var exit *exec.ExitError
	if err := g.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("digestd ended with %v, want status 1, after which systemd does not start it again", err)
	}
	said, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil || !strings.Contains(string(said), `mode = "enforced"`) || strings.Contains(string(said), "timed out") {
		t.Errorf("rpm: %v, it said:\n%s", err, said)
	}
}
