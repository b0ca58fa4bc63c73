// SPDX-License-Identifier: Apache-2.0

package ctltest

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/digestd/digestd/daemon/bus"
	"github.com/digestd/digestd/daemon/bus/bustest"
)

// World is a bus, and a daemon that is on it between Start and Stop.
type World struct {
	Bus    *bustest.Bus
	Daemon *Daemon
	Server *bus.Server // by which the daemon tells its signals

	tb testing.TB
}

// NewWorld makes a world that ends with the test.
func NewWorld(tb testing.TB) *World {
	tb.Helper()
	w := &World{Bus: bustest.Start(tb), Daemon: newDaemon(), tb: tb}
	tb.Cleanup(w.Stop)
	return w
}

// Start puts the daemon on the bus.
func (w *World) Start() {
	w.tb.Helper()
	if err := w.serve(); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *World) serve() (err error) {
	w.Server, err = bus.Serve(w.Daemon.ctx, w.Bus.Address, w.Daemon, slog.New(slog.NewTextHandler(io.Discard, nil)))
	return err
}

// Stop takes it off the bus.
func (w *World) Stop() {
	if w.Server != nil {
		w.Server.Close()
		w.Server = nil
	}
}

// Digestctl is the program, on the world's bus.
func (w *World) Digestctl(args ...string) *exec.Cmd {
	w.tb.Helper()
	path, err := exec.LookPath("digestctl")
	if err != nil {
		w.tb.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+w.Bus.Address)
	return cmd
}
