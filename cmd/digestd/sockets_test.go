// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/session"
	"golang.org/x/sys/unix"
)

// pair returns two ends of a connection, the first as a file of that name.
func pair(t *testing.T, name string) (*os.File, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// TestTakePassed: the socket of the service manager is listened at and stays when digestd ends;
// a connection that another digestd left goes on at its stage, and the manager forgets it.
func TestTakePassed(t *testing.T) {
	m := newManager(t)
	path := filepath.Join(t.TempDir(), "hook.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	listening, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	left, theirs := pair(t, "transaction-7-1")
	p, err := takePassed([]*os.File{left, listening})
	if err != nil || p.hook == nil || len(p.left) != 1 || p.left[0].Stage != session.StageTransaction {
		t.Fatalf("%+v, %v", p, err)
	}
	m.await(t, "FDSTOREREMOVE=1", "FDNAME=transaction-7-1")
	if _, err := theirs.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(p.left[0].Conn, got); err != nil || string(got) != "hello" {
		t.Errorf("the connection brings %q, %v", got, err)
	}
	p.left[0].Conn.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	p.hook.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the manager's socket is gone: %v", err)
	}
	file, err := os.Open(path[:len(path)-len("hook.sock")])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takePassed([]*os.File{file}); err == nil || !strings.Contains(err.Error(), "cannot take sockets") {
		t.Errorf("a directory is taken for a socket: %v", err)
	}
	if p, err := takePassed(nil); err != nil || p.hook != nil || len(p.left) > 0 {
		t.Errorf("nothing is passed: %+v, %v", p, err)
	}
}

// TestLeave: what one digestd leaves to the service manager, the next can take.
func TestLeave(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if leaver() != nil {
		t.Error("connections are left to nobody")
	}
	ours, theirs := pair(t, "begin-1-1")
	c, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := passed{left: []session.Left{{Conn: c.(*net.UnixConn), Stage: session.StageAssured}, {Conn: c.(*net.UnixConn), Stage: session.StageTest}}}
	p.leaveAgain(slog.New(slog.DiscardHandler)) // without a manager it ends with digestd
	m := newManager(t)
	p.leaveAgain(slog.New(slog.DiscardHandler))
	var taken []*os.File
	for _, stage := range []session.Stage{session.StageAssured, session.StageTest} {
		buffer, oob := make([]byte, 1000), make([]byte, 1000)
		m.SetReadDeadline(time.Now().Add(time.Minute))
		n, oobn, _, _, err := m.ReadMsgUnix(buffer, oob)
		if err != nil {
			t.Fatal(err)
		}
		first, name, _ := strings.Cut(string(buffer[:n]), "\nFDNAME=")
		if first != "FDSTORE=1" || !strings.HasPrefix(name, string(stage)+"-") {
			t.Errorf("the manager is told %q", buffer[:n])
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(messages) != 1 {
			t.Fatalf("%v, %v", messages, err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			t.Fatalf("%v, %v", fds, err)
		}
		taken = append(taken, os.NewFile(uintptr(fds[0]), name))
	}
	next, err := takePassed(taken)
	if err != nil || len(next.left) != 2 || next.left[0].Stage != session.StageAssured || next.left[1].Stage != session.StageTest {
		t.Fatalf("the next digestd takes %+v, %v", next, err)
	}
	for i, l := range next.left {
		m.await(t, "FDSTOREREMOVE=1", "FDNAME="+taken[i].Name())
		if _, err := l.Conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(theirs, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		l.Conn.Close()
	}
	if taken[0].Name() == taken[1].Name() {
		t.Errorf("two connections are named %s", taken[0].Name())
	}
}

// TestNobodyKeeps: without its service manager digestd cannot leave a connection, and says so.
func TestNobodyKeeps(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	ours, _ := pair(t, "begin-1-1")
	c, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	left := session.Left{Conn: c.(*net.UnixConn), Stage: session.StageBegin}
	var said strings.Builder
	p := passed{left: []session.Left{left}}
	p.leaveAgain(slog.New(slog.NewTextHandler(&said, nil)))
	if !strings.Contains(said.String(), "not left to the next digestd") {
		t.Errorf("it says %q", said.String())
	}
	c.Close()
	if err := leaver()(left); err == nil {
		t.Error("a closed connection is left")
	}
}

// TestListen: a socket that a dead digestd left is replaced.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run/hook.sock")
	l, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if l, err = listen(path); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}
