// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/session"
	"github.com/digestd/digestd/hooks/wire"
)

// shelf keeps connections that a daemon leaves, as the service manager does.
type shelf struct {
	mu   sync.Mutex
	left []session.Left
}

func (s *shelf) put(l session.Left) error {
	f, err := l.Conn.File()
	if err != nil {
		return err
	}
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, session.Left{Conn: conn.(*net.UnixConn), Stage: l.Stage})
	return nil
}

// takeOver starts the next daemon, which goes on with what was left.
func takeOver(t *testing.T, m *daemontest.Machine, left []session.Left) {
	t.Helper()
	m.Stop()
	m.Start(t)
	sessions := m.Sessions
	daemontest.Loop(t, func(ctx context.Context) error {
		<-ctx.Done()
		sessions.Open.Wait()
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	sessions.TakeOver(ctx, left)
}

// answered returns when connections that were made before are served: a later one was.
func answered(t *testing.T, m *daemontest.Machine, socket string) {
	t.Helper()
	b := m.Message(t, nil, nil)
	b.RootIno++
	m.Begin(t, daemontest.Connect(t, socket), b)
}

// TestStages: a connection is left with what the next daemon must know of it.
func TestStages(t *testing.T) {
	vendor := daemontest.Key(t, "vendor")
	for _, test := range []struct {
		name    string
		revoked bool // some key is, so that packages may be refused one by one
		begin   func(b *wire.Begin) *wire.Begin
		want    session.Stage
	}{
		{"silent", false, nil, session.StageBegin},
		{"test", false, func(b *wire.Begin) *wire.Begin { b.Flags = wire.FlagTest; return b }, session.StageTest},
		{"transaction", true, func(b *wire.Begin) *wire.Begin { return b }, session.StageTransaction},
		{"assured", false, func(b *wire.Begin) *wire.Begin { return b }, session.StageAssured},
	} {
		m := daemontest.New(t)
		if test.revoked {
			m.Import(t, vendor)
			m.Sync(t)
			m.Forget(t, vendor)
			m.Sync(t)
		}
		var s shelf
		m.Sessions.Leave = s.put
		socket, stop := m.Serve(t)
		hello := small(t, "hello")
		c := daemontest.Connect(t, socket)
		if test.begin != nil {
			m.Begin(t, c, test.begin(m.Message(t, all(hello), nil)))
		} else {
			answered(t, m, socket)
		}
		stop()
		if len(s.left) != 1 || s.left[0].Stage != test.want {
			t.Errorf("%s: left are %+v, want one at stage %q", test.name, s.left, test.want)
		}
	}
}

// TestTakeOver: the package manager does not notice that the daemon is another, and in the
// end lists are what rpm's database says.
func TestTakeOver(t *testing.T) {
	m := daemontest.New(t)
	var s shelf
	m.Sessions.Leave = s.put
	socket, stop := m.Serve(t)
	first, second, gone := small(t, "first"), small(t, "second"), small(t, "gone")
	m.Install(t, gone)
	m.Sync(t)
	silent := daemontest.Connect(t, socket)
	x := begun(t, m, socket, all(first, second), all(gone))
	if reply := x.Put(t, first); reply.Decision != wire.ListNamed {
		t.Fatalf("%+v", reply)
	}
	trial := daemontest.Connect(t, socket)
	b := m.Message(t, all(second), nil)
	b.Flags = wire.FlagTest
	tried := m.Begin(t, trial, b)
	stop()
	if len(s.left) != 3 {
		t.Fatalf("left are %+v", s.left)
	}
	takeOver(t, m, s.left)
	if m.Snapshot().Open != 1 {
		t.Errorf("%d transactions are open", m.Snapshot().Open)
	}
	if got := m.Names(t); !slices.Equal(got, []string{listOf(first), listOf(gone)}) {
		t.Errorf("taken over, the lists are %v", got)
	}
	if reply := tried.Announce(t, second); reply.Decision != wire.NoList || len(reply.Notes) > 0 {
		t.Errorf("in the test run: %+v", reply)
	}
	tried.Finish(t)
	if reply := x.Put(t, second); reply.Decision != wire.ListNamed || reply.Name != listOf(second) {
		t.Errorf("%+v", reply)
	}
	x.Drop(t, gone)
	if notes := x.Finish(t); len(notes) > 0 {
		t.Errorf("told %v", notes)
	}
	if got := m.Names(t); !slices.Equal(got, []string{listOf(first), listOf(second)}) {
		t.Errorf("at the end the lists are %v", got)
	}
	if verdict, err := silent.Begin(t.Context(), m.Message(t, nil, nil)); err != nil || verdict.Decision != wire.Assured {
		t.Errorf("a connection that had said nothing: %+v, %v", verdict, err)
	}
}

// TestCannotBeLeft: where the next daemon cannot go on, the package manager is told, and
// the transaction ends.
func TestCannotBeLeft(t *testing.T) {
	for name, leave := range map[string]func(session.Left) error{
		"nobody takes them":         nil,
		"somebody would, but fails": func(session.Left) error { return errors.New("full") },
	} {
		m := daemontest.New(t)
		m.Sessions.Leave = leave
		socket, stop := m.Serve(t)
		x := begun(t, m, socket, all(small(t, "hello")), nil)
		stop()
		if _, err := x.Client.End(t.Context(), &wire.End{}); err == nil {
			t.Errorf("%s: the daemon answers", name)
		}
		if reason, wanted := m.Wants(); m.Snapshot().Open != 0 || !wanted || reason != "transaction abandoned" {
			t.Errorf("%s: %d transactions are open, a comparison is wanted: %q", name, m.Snapshot().Open, reason)
		}
	}
}

// TestRefuse: those who wait for a daemon that cannot start are told why.
func TestRefuse(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var waiting []*wire.Conn
	for range 3 {
		raw, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		waiting = append(waiting, wire.NewConn(raw))
	}
	session.Refuse(l, errors.New("no room on the disk"))
	for _, c := range waiting {
		reply, err := c.Read(t.Context(), time.Minute, time.Minute)
		if e, ok := reply.(*wire.Error); !ok || !strings.Contains(e.Text, "no room on the disk") {
			t.Errorf("%+v, %v", reply, err)
		}
	}
}
