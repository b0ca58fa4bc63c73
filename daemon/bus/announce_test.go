// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/needs"
	"github.com/godbus/dbus/v5"
)

// The names of rpm on the bus.
const (
	rpmName      = "org.rpm.announce"
	rpmPath      = "/org/rpm/Transaction"
	rpmInterface = "org.rpm.Transaction"
)

// announcerAddress is set in the process that TestAnnouncements starts of this
// very program, as another user.
const announcerAddress = "DIGESTD_TEST_ANNOUNCER"

func (b *stub) PackagesAnnounced() { b.changed("PackagesAnnounced") }

func (b *stub) announced() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(b.changes), func(c string) bool { return c != "PackagesAnnounced" }))
}

// announceAs speaks like rpm, as the user of this process.
func announceAs(address string) {
	conn, err := dbus.Connect(address)
	if err == nil {
		err = announce(conn, true, "EndTransaction")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// announce sends a signal of rpm's, as the owner of its name or not, and returns
// once the bus has passed it on.
func announce(conn *dbus.Conn, own bool, member string) error {
	if own {
		if reply, err := conn.RequestName(rpmName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
			return fmt.Errorf("cannot own the name: %v, %w", reply, err)
		}
		defer conn.ReleaseName(rpmName)
	}
	if err := conn.Emit(rpmPath, rpmInterface+"."+member, "cookie", uint32(1)); err != nil {
		return err
	}
	return conn.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err
}

// Only root is rpm, and only when it has rpm's name.
func TestAnnouncements(t *testing.T) {
	needs.Root(t)
	b := &stub{}
	_, private := serve(t, b)
	conn := connect(t, private).conn
	say := func(own bool, member string) {
		t.Helper()
		if err := announce(conn, own, member); err != nil {
			t.Fatal(err)
		}
	}
	heard := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); b.announced() < want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("heard %d announcements, want %d", b.announced(), want)
			}
		}
	}
	// Earlier signals have arrived when this one has: the bus keeps order.
	settle := func() int {
		t.Helper()
		before := b.announced()
		say(true, "EndTransactionDetails")
		heard(before + 1)
		return b.announced()
	}
	before := settle()
	say(false, "EndTransaction")
	say(true, "StartTransaction")
	if os.Getuid() == 0 {
		program, err := os.Open("/proc/self/exe") // as in TestOrdinaryUser
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		cmd := &exec.Cmd{
			Path: "/proc/self/fd/3", Args: []string{"announcer"}, Dir: "/", Env: []string{announcerAddress + "=" + private.Address},
			ExtraFiles:  []*os.File{program},
			SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}},
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	// Sent to the daemon alone, a signal reaches it without having been asked for.
	stranger := connect(t, private).conn
	msg := dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(rpmPath)), dbus.FieldInterface: dbus.MakeVariant(rpmInterface),
		dbus.FieldMember: dbus.MakeVariant("EndTransaction"), dbus.FieldDestination: dbus.MakeVariant("org.digestd1"),
	}}
	stranger.Send(&msg, nil)
	if err := stranger.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		t.Fatal(err)
	}
	if after := settle(); after != before+1 {
		t.Errorf("%d announcements are heard that nobody must hear", after-before-1)
	}
	// A bus that comes back is heard again.
	private.Stop()
	private.Start()
	conn = connect(t, private).conn
	for deadline, before := time.Now().Add(time.Minute), b.announced(); b.announced() == before; time.Sleep(10 * time.Millisecond) {
		if say(true, "EndTransaction"); time.Now().After(deadline) {
			t.Fatal("after the bus came back, no announcement is heard")
		}
	}
}
