// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

// busName is the name of the bus itself.
const busName = "org.freedesktop.DBus"

// liar is an ordinary user who tells every connection of the bus, except for
// digestd's, what digestd never said.
type liar struct {
	conn  *dbus.Conn
	quiet sync.Mutex // held while the liar must not speak
	stop  chan struct{}
	done  chan struct{}
}

// startLiar runs one until the test ends. It needs root.
func startLiar(t *testing.T, w *ctltest.World) *liar {
	t.Helper()
	l := &liar{conn: w.Bus.ConnectAs(65534), stop: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	t.Cleanup(func() { close(l.stop); <-l.done })
	return l
}

func (l *liar) run() {
	defer close(l.done)
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Millisecond):
		}
		l.lie()
	}
}

// lie tells everything once.
func (l *liar) lie() {
	l.quiet.Lock()
	defer l.quiet.Unlock()
	var names []string
	var owner string
	l.conn.BusObject().Call(busName+".GetNameOwner", 0, api.BusName).Store(&owner)
	l.conn.BusObject().Call(busName+".ListNames", 0).Store(&names)
	for _, to := range names {
		if !strings.HasPrefix(to, ":") || to == l.conn.Names()[0] || to == owner {
			continue
		}
		for job := range uint64(3) {
			l.send(to, api.Path, api.Interface, "JobFinished", job, true, api.Dict{})
		}
		l.send(to, api.Path, api.Interface, "ListPublished", "tlv-made-up", "made-up-1-1.noarch")
		l.send(to, api.Path, "org.freedesktop.DBus.Properties", "PropertiesChanged", api.Interface,
			api.Dict{"LastEvent": dbus.MakeVariant(uint64(9)), "State": dbus.MakeVariant("made up")}, []string{})
		// That digestd left, and that the liar is digestd now.
		l.send(to, "/org/freedesktop/DBus", busName, "NameOwnerChanged", api.BusName, ":1.0", "")
		l.send(to, "/org/freedesktop/DBus", busName, "NameOwnerChanged", api.BusName, "", l.conn.Names()[0])
		// Answers to calls that are under way: their serials are small numbers.
		for serial := uint32(1); serial < 20; serial++ {
			l.reply(to, serial, api.Dict{"version": dbus.MakeVariant("made up"), "state": dbus.MakeVariant(api.Healthy)})
		}
	}
}

func (l *liar) send(to string, path dbus.ObjectPath, iface, member string, body ...any) {
	l.conn.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...))}, Body: body}, nil)
}

func (l *liar) reply(to string, serial uint32, body ...any) {
	l.conn.Send(&dbus.Message{Type: dbus.TypeMethodReply, Flags: dbus.FlagNoReplyExpected, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to), dbus.FieldReplySerial: dbus.MakeVariant(serial),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...))}, Body: body}, nil)
}

// TestMadeUpSignals lets a user of the bus make signals and replies up: digestctl
// must behave as if there were none.
func TestMadeUpSignals(t *testing.T) {
	needs.Root(t)
	w := ctltest.NewWorld(t)
	w.Start()
	l := startLiar(t, w)
	run := func(args ...string) string {
		t.Helper()
		out, err := w.Digestctl(args...).CombinedOutput()
		return fmt.Sprintf("%s%v", out, err)
	}
	// A job that fails is reported as failed, each time.
	w.Daemon.Vary("broken")
	for range 10 {
		if out := run("sync"); !strings.Contains(out, "no space left") {
			t.Fatalf("sync printed:\n%s", out)
		}
	}
	w.Daemon.Vary("")
	for range 10 {
		if out := run("status", "--json"); strings.Contains(out, "made up") || !strings.Contains(out, `"version": "0.1.0"`) {
			t.Fatalf("status printed:\n%s", out)
		}
	}
	// Neither while it watches, nor from the next digestd.
	watch := w.Watch()
	watch.Wants("watching    digestd 0.1.0, healthy, 1 active list")
	w.Server.ListPublished("tlv-bash-0:5.2-1.x86_64", "bash-5.2-1.x86_64")
	watch.Wants("published   bash-5.2-1.x86_64")
	w.Stop()
	watch.Wants("left        digestd left the bus")
	// This bus lets everybody reply to everything, also to a digestd that starts.
	l.quiet.Lock()
	w.Start()
	l.quiet.Unlock()
	watch.Wants("watching    digestd 0.1.0, healthy, 1 active list")
	w.Server.RollbackRefused("bash-5.1-1.x86_64", "older than 5.2-1")
	watch.Wants("refused     bash-5.1-1.x86_64: older than 5.2-1")
	watch.Interrupt()
}
