// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
)

// Serve serves package managers, at a socket whose path it returns, until the test ends or
// stop is called. Sessions that are open then come to their end first.
func (m *Machine) Serve(t testing.TB) (socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "digestd-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "hook.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	sessions := m.Sessions
	return socket, Loop(t, func(ctx context.Context) error {
		err := sessions.Serve(ctx, l)
		sessions.Open.Wait()
		return err
	})
}

// Connect connects to a socket as a package manager does, until the test ends.
func Connect(t testing.TB, socket string) *wire.Client {
	t.Helper()
	c, err := wire.Dial(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Message returns what rpm's plugin says of a transaction in which packages come and
// others leave: those that come are first among its elements.
func (m *Machine) Message(t testing.TB, come, leave []gendb.Small) *wire.Begin {
	t.Helper()
	b := &wire.Begin{Plugin: "test", Root: m.Config.Root + "/", DBPath: m.Config.DBPath}
	var err error
	if b.RootDev, b.RootIno, err = m.Root.ID(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(m.Path(m.Config.DBPath), &st); err == nil {
		b.DBDev, b.DBIno = st.Dev, st.Ino
	}
	for _, p := range come {
		b.Elements = append(b.Elements, wire.Element{Type: wire.Added, NEVRA: p.NEVRA})
	}
	for _, p := range leave {
		b.Elements = append(b.Elements, wire.Element{Type: wire.RemovedElement, NEVRA: p.NEVRA})
	}
	return b
}

// Transaction is a transaction of a package manager, which says what rpm's plugin does.
type Transaction struct {
	*wire.Client
	Verdict *wire.Verdict
	m       *Machine
	begin   *wire.Begin
}

// Begin begins a transaction over a connection.
func (m *Machine) Begin(t testing.TB, c *wire.Client, b *wire.Begin) *Transaction {
	t.Helper()
	verdict, err := c.Begin(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return &Transaction{Client: c, Verdict: verdict, m: m, begin: b}
}

// element is the index of a package among those of the transaction.
func (x *Transaction) element(t testing.TB, kind wire.ElementType, p gendb.Small) uint32 {
	t.Helper()
	i := slices.IndexFunc(x.begin.Elements, func(e wire.Element) bool { return e.Type == kind && e.NEVRA == p.NEVRA })
	if i < 0 {
		t.Fatalf("the transaction has no %s", p.NEVRA)
	}
	return uint32(i)
}

// HeaderOf returns what is said of a package, element of a transaction, before it is
// unpacked.
func HeaderOf(t testing.TB, p gendb.Small, element uint32) *wire.Header {
	t.Helper()
	made, err := gendb.Make(p)
	if err != nil {
		t.Fatal(err)
	}
	h := &wire.Header{Element: element, Type: wire.Added, Region: made.Region}
	if made.Signature != nil {
		h.Signatures = []header.Signature{{Tag: header.TagRSAHeader, Data: made.Signature}}
	}
	return h
}

// Announce says that a package is about to be unpacked, and returns the answer.
func (x *Transaction) Announce(t testing.TB, p gendb.Small) *wire.List {
	t.Helper()
	reply, err := x.Header(t.Context(), HeaderOf(t, p, x.element(t, wire.Added, p)))
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// Put announces a package, and installs it unless that is refused.
func (x *Transaction) Put(t testing.TB, p gendb.Small) *wire.List {
	t.Helper()
	reply := x.Announce(t, p)
	if reply.Decision == wire.RefuseList {
		return reply
	}
	x.m.Install(t, p)
	if err := x.Installed(&wire.Installed{Element: x.element(t, wire.Added, p)}); err != nil {
		t.Fatal(err)
	}
	return reply
}

// Drop erases a package.
func (x *Transaction) Drop(t testing.TB, p gendb.Small) {
	t.Helper()
	made, err := gendb.Make(p)
	if err != nil {
		t.Fatal(err)
	}
	x.m.Erase(t, p)
	if err := x.Removed(&wire.Removed{Element: x.element(t, wire.RemovedElement, p), Digest: made.Digest}); err != nil {
		t.Fatal(err)
	}
}

// Finish ends the transaction, and returns what the administrator is told.
func (x *Transaction) Finish(t testing.TB) (notes []wire.Note) {
	t.Helper()
	ack, err := x.End(t.Context(), &wire.End{})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Notes
}
