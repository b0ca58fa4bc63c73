// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/bustest"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/store"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// TestRun: digestd listens where the configuration says, tells the service manager of its life,
// and reads the configuration again when it is asked to. It serves package managers also where
// there is no bus.
func TestRun(t *testing.T) {
	p, m := newPlace(t), newManager(t)
	p.bus = "unix:path=" + p.path("nobody")
	p.configure(t, "")
	stop := p.runs(t)
	m.await(t, "READY=1", "0 lists active")
	socket := p.path("run/hook.sock")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if l, err := listen(socket); err == nil || !strings.Contains(err.Error(), "another digestd") {
		t.Errorf("a second digestd listens: %v, %v", l, err)
	}
	p.configure(t, "mode = \"sometimes\"\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.await(t, "RELOADING=1")
	m.await(t, "READY=1", "1 problems")
	p.configure(t, "")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.await(t, "RELOADING=1")
	m.await(t, "READY=1", "0 packages without")
	stop()
	m.await(t, "STOPPING=1")
	if c, err := net.Dial("unix", socket); err == nil {
		c.Close()
		t.Error("somebody listens after the end")
	}
}

// TestCannotStart: a cause that stays is told at once, as one after which systemd does not try
// again.
func TestCannotStart(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a digestd that starts ends without an error then
	defer cancel()
	for name, spoil := range map[string]func(){
		"a setting that is none":        func() { p.configure(t, "modus = \"enforce\"\n") },
		"a value that is none":          func() { p.configure(t, "unsigned = \"sometimes\"\n") },
		"a file for the list directory": func() { p.configure(t, ""); write(t, p.path("lists"), "") },
	} {
		spoil()
		if err := run(ctx, p.config, false); !errors.Is(err, errStart) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.configure(t, "")
	os.Remove(p.path("lists"))
	write(t, p.path("run"), "") // where the directory of the socket is to be
	if err := run(ctx, p.config, false); !errors.Is(err, errStart) || !strings.Contains(err.Error(), "cannot listen") {
		t.Errorf("no socket: %v", err)
	}
}

// lockIndex lets nobody open the index until release is called, as another program does that reads
// it.
func (p place) lockIndex(t *testing.T) (release func()) {
	t.Helper()
	index, _, err := store.Open(p.path("state"))
	if err == nil {
		err = index.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(p.path("state/index.db"))
	if err != nil {
		t.Fatal(err)
	}
	release = func() { f.Close() }
	t.Cleanup(release)
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return release
}

// TestStandby: where another program has the index, digestd is up, says that it judges nothing,
// on the bus, too, and begins to work as soon as it can.
func TestStandby(t *testing.T) {
	p, m, private := newPlace(t), newManager(t), bustest.Start(t)
	p.bus = private.Address
	p.configure(t, "")
	release := p.lockIndex(t)
	stop := p.runs(t)
	m.await(t, "READY=1", "Judging nothing")
	conn, err := dbus.Connect(private.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := func(want string) {
		t.Helper()
		var is string
		var err error
		if !pkgtest.Await(func() bool {
			err = conn.Object(api.BusName, api.Path).StoreProperty(api.Interface+".State", &is)
			return err == nil && is == want
		}) {
			t.Errorf("on the bus its state is %q (%v), want %s", is, err, want)
		}
	}
	state(api.Degraded)
	if c, err := net.Dial("unix", p.path("run/hook.sock")); err != nil {
		t.Errorf("package managers cannot connect: %v", err)
	} else {
		c.Close()
	}
	p.configure(t, "mode = \"sometimes\"\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.await(t, "RELOADING=1")
	m.await(t, "READY=1", "Judging nothing")
	release()
	m.await(t, "READY=1", "0 lists active")
	state(api.Healthy)
	stop()
}

// TestStandbyGivesUp: a cause that will not pass by itself ends a digestd that waits. It waits
// without a bus, too.
func TestStandbyGivesUp(t *testing.T) {
	p, m := newPlace(t), newManager(t)
	p.bus = "unix:path=" + p.path("nobody")
	p.configure(t, "")
	release := p.lockIndex(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, p.config, true) }()
	m.await(t, "READY=1", "Judging nothing")
	if err := os.RemoveAll(p.path("lists")); err != nil {
		t.Fatal(err)
	}
	write(t, p.path("lists"), "no directory")
	release()
	if err := <-ended; !errors.Is(err, errStart) {
		t.Errorf("it ended: %v", err)
	}
}
