// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/kernel/guard"
)

func unchecked() protocol.Facts {
	facts := enforcing()
	facts.Check = true
	return facts
}

// TestCheckBeforeEnforcing: what the configuration says is enforced once a check has passed, and
// one that has not says why it is not.
func TestCheckBeforeEnforcing(t *testing.T) {
	maps := guardtest.NewMemory()
	c := dial(t, serve(t, maps, unchecked(), os.Getuid()))
	ctx := t.Context()
	status := func() protocol.Status {
		t.Helper()
		s, err := c.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := c.SetCommit(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if s := status(); s.Mode != "audit" || !s.Unchecked || s.Check != nil || !strings.Contains(s.Why, "digestd-guard-check") {
		t.Errorf("before a check: %+v", s)
	}
	for what, bad := range map[string]protocol.Check{
		"more refused than looked at": {Looked: 1, Refused: 2},
		"negative":                    {Looked: 1, Refused: -1},
		"more named than refused":     {Looked: 9, Refused: 1, First: []string{"/a", "/b"}},
		"too many named":              {Looked: 9, Refused: 9, First: make([]string, 6)},
		"a long name":                 {Looked: 9, Refused: 9, First: []string{strings.Repeat("x", 600)}},
		"a long error":                {Error: strings.Repeat("x", 600)},
	} {
		if err := c.Checked(ctx, bad); !errors.Is(err, protocol.ErrRefused) || status().Check != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, test := range []struct {
		found protocol.Check
		why   string
	}{
		{protocol.Check{Looked: 90, Refused: 7, First: []string{"/sbin/init", "/bin/sh"}}, "it would refuse 7 of 90 files that this machine needs: /sbin/init, /bin/sh and 5 more"},
		{protocol.Check{Error: "no /proc"}, "what this machine needs cannot be checked: no /proc"},
		{protocol.Check{}, "the check of what this machine needs found no file"},
	} {
		if err := c.Checked(ctx, test.found); err != nil {
			t.Fatal(err)
		}
		if s := status(); s.Mode != "audit" || s.Why != test.why || s.Check == nil {
			t.Errorf("%+v: %+v", test.found, s)
		}
	}
	if err := c.SetCommit(ctx, 4); err != nil || maps.Is.Mode != guard.Audit {
		t.Errorf("a commit after it: %v, mode %v", err, maps.Is.Mode)
	}
	if err := c.Checked(ctx, protocol.Check{Looked: 90}); err != nil {
		t.Fatal(err)
	}
	if s := status(); s.Mode != "enforce" || s.Unchecked || s.Check != nil || s.Why != "" || s.Doubts != 3 {
		t.Errorf("it has passed, after three that had not: %+v", s)
	}
	if err := c.Checked(ctx, protocol.Check{Looked: 1, Refused: 1}); !errors.Is(err, protocol.ErrRefused) || maps.Is.Mode != guard.Enforce {
		t.Errorf("one that nobody waits for: %v, mode %v", err, maps.Is.Mode)
	}
}

// TestCheckIsNotNeeded: what is enforced already goes on, what the owner decides needs no check
// of ours, and a check puts nothing in force that is not wanted.
func TestCheckIsNotNeeded(t *testing.T) {
	for name, test := range map[string]struct {
		is     guard.Settings
		change protocol.Change
		want   string
	}{
		"it enforces":               {is: guard.Settings{Mode: guard.Enforce}, want: "enforce"},
		"the owner enforces":        {change: protocol.Change{Mode: "enforce"}, want: "enforce"},
		"the owner has it audit":    {change: protocol.Change{Mode: "audit"}, want: "audit"},
		"a trial is in force still": {is: guard.Settings{Mode: guard.Enforce, Trial: time.Hour}, want: "enforce"},
	} {
		t.Run(name, func(t *testing.T) {
			maps := guardtest.NewMemory()
			maps.Is, maps.At = test.is, 3
			c := dial(t, serve(t, maps, unchecked(), os.Getuid()))
			if test.change.Mode != "" {
				if err := c.Change(t.Context(), test.change); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.SetCommit(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
			if s, err := c.Status(t.Context()); err != nil || s.Mode != test.want {
				t.Errorf("%+v, %v; want mode %s", s, err, test.want)
			}
			err := c.Checked(t.Context(), protocol.Check{Looked: 1})
			if needed := test.is.Trial > 0; (err == nil) != needed {
				t.Errorf("a check: %v, needed %v", err, needed)
			}
		})
	}
}

// TestWatch: who watches hears of a mode that somebody else changed, and of digests only while
// a check needs them.
func TestWatch(t *testing.T) {
	maps := guardtest.NewMemory()
	path := serve(t, maps, unchecked(), os.Getuid())
	c, w := dial(t, path), dial(t, path)
	state, err := w.Watch(t.Context(), 0)
	if err != nil || state == 0 {
		t.Fatalf("state %d, %v", state, err)
	}
	heard := func(what string, do func() error) {
		t.Helper()
		got := make(chan uint64, 1)
		go func() {
			next, err := w.Watch(t.Context(), state)
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			got <- next
		}()
		select {
		case next := <-got:
			t.Errorf("%s: heard of state %d before", what, next)
		case <-time.After(50 * time.Millisecond):
		}
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		select {
		case next := <-got:
			if next == state {
				t.Errorf("%s: the state is the same", what)
			}
			state = next
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing was heard", what)
		}
	}
	heard("digests to check", func() error { return c.SetCommit(t.Context(), 1) })
	heard("a check", func() error { return c.Checked(t.Context(), protocol.Check{Looked: 1, Refused: 1}) })
	heard("a mode", func() error { return c.Change(t.Context(), protocol.Change{Mode: "enforce"}) })
	if s, err := w.Status(t.Context()); err != nil || s.Mode != "enforce" {
		t.Errorf("the connection does not go on: %+v, %v", s, err)
	}
	if err := c.SetCommit(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if next, err := w.Watch(ctx, state); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("digests, no check: state %d, %v", next, err)
	}
}

// TestWatchLasts: a watch waits as long as nothing happens, not only as long as a frame may take.
func TestWatchLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keeper, err := protocol.NewKeeper(guardtest.NewMemory(), unchecked())
		if err != nil {
			t.Fatal(err)
		}
		server := &protocol.Server{Keeper: keeper, Log: slog.New(slog.DiscardHandler)}
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			server.Converse(t.Context(), far, wire.Peer{})
		}()
		c := protocol.NewClient(near)
		state, err := c.Watch(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 1)
		go func() {
			_, err := c.Watch(t.Context(), state)
			heard <- err
		}()
		time.Sleep(time.Hour)
		select {
		case err := <-heard:
			t.Fatalf("it ended before anything happened: %v", err)
		default:
		}
		if err := keeper.SetCommit(1); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; err != nil {
			t.Error(err)
		}
		c.Close()
		<-ended
	})
}

// TestWatchersThatLeave: those who watched and went away take no place from others, and a
// question while another is open ends the connection.
func TestWatchersThatLeave(t *testing.T) {
	path := serve(t, guardtest.NewMemory(), unchecked(), os.Getuid())
	for range 50 { // more than are served at a time
		c := dial(t, path)
		state, err := c.Watch(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := c.Watch(ctx, state); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v", err)
		}
		cancel()
	}
	state, err := dial(t, path).Watch(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	raw := rawConn(t, path)
	if _, err := raw.Write([]byte{1, 0x10, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, byte(state), 1}); err != nil {
		t.Fatal(err)
	}
	if err := raw.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := raw.Read(make([]byte, 8)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func rawConn(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
