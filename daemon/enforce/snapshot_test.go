// SPDX-License-Identifier: Apache-2.0

package enforce_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/enforce"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store"
)

// enforcing is a daemon whose guard enforces what it is told.
func enforcing(t *testing.T, facts protocol.Facts) *machine {
	t.Helper()
	m := guarded(t)
	facts.Wanted.Mode, facts.Most = cmp.Or(facts.Wanted.Mode, "enforce"), guard.Enforce
	end, err := guardtest.Serve(m.Guard.Socket, m.kernel, facts, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.drop()
		end()
	})
	return m
}

// begins begins a transaction in which packages come and others leave.
func (m *machine) begins(come, leave []gendb.Small) *daemontest.Transaction {
	m.t.Helper()
	socket, _ := m.Serve(m.t)
	return m.Begin(m.t, daemontest.Connect(m.t, socket), m.Message(m.t, come, leave))
}

// comes has a transaction bring a package of these contents.
func (m *machine) comes(name string, contents ...string) {
	m.t.Helper()
	p := pkg(m.t, name, contents...)
	x := m.begins([]gendb.Small{p}, nil)
	x.Put(m.t, p)
	x.Finish(m.t)
}

// TestSnapshotFollows: with what digestd leaves on disk a guard begins as it was, until
// the index goes on; the next snapshot makes that good.
func TestSnapshotFollows(t *testing.T) {
	m := enforcing(t, protocol.Facts{})
	if !m.Guard.Agree(t.Context()) {
		t.Fatalf("problems: %+v", m.Snapshot().Problems)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Guard.KeepSnapshot(ctx) }()
	defer cancel()
	begin := func() (*guardtest.Memory, string) {
		t.Helper()
		next := guardtest.NewMemory()
		begun, err := protocol.Start{
			State: m.Config.State, Stale: guard.Audit,
			Key:    protocol.KeyIn(filepath.Join(m.Config.State, identity.DERFile)),
			Commit: func() (uint64, error) { return store.LatestCommit(m.Config.State) },
		}.Begin(next)
		if err != nil {
			t.Fatal(err)
		}
		if begun.Doubt == "" && begun.Checked != (m.kernel.Is.Mode == guard.Enforce) {
			t.Errorf("the guard is in mode %v, and its snapshot says %+v", m.kernel.Is.Mode, begun)
		}
		return next, begun.Doubt
	}
	within := func(what string, contents ...string) {
		t.Helper()
		var next *guardtest.Memory
		var doubt string
		for range 200 {
			if next, doubt = begin(); doubt == "" && len(next.Lists) == len(contents) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		for _, content := range contents {
			if next.Lists[sha256.Sum256([]byte(content))] == 0 {
				t.Errorf("%s: it does not let run %q; %d digests, doubt %q", what, content, len(next.Lists), doubt)
			}
		}
		if commit := m.Index.(*store.Index).Commits(); next.At != commit || doubt != "" {
			t.Errorf("%s: it agrees with commit %d of %d, doubt %q", what, next.At, commit, doubt)
		}
	}
	m.comes("hello", "a", "b")
	if _, doubt := begin(); doubt == "" {
		t.Error("a snapshot was there before digestd could have written one")
	}
	within("a list came", "a", "b")
	m.comes("more", "c")
	if _, doubt := begin(); !strings.Contains(doubt, "the guard's snapshot is from commit") {
		t.Errorf("the index went on, doubt %q", doubt)
	}
	within("another came", "a", "b", "c")
	// The rest is done when digestd ends.
	m.comes("last", "d")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	m.Guard.LastSnapshot()
	within("digestd ended", "a", "b", "c", "d")
	// Also what was committed while the guard was not reached.
	m.drop()
	m.comes("unheard", "e")
	m.Guard.LastSnapshot()
	within("digestd ended and had lost the guard", "a", "b", "c", "d", "e")
}

// TestSnapshotCannotBeWritten: a problem says so until one can.
func TestSnapshotCannotBeWritten(t *testing.T) {
	m := enforcing(t, protocol.Facts{})
	m.comes("hello", "a")
	path := filepath.Join(m.Config.State, snapshot.Name)
	m.Guard.LastSnapshot()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a guard that agrees with nothing had a snapshot: %v", err)
	}
	if !m.Guard.Agree(t.Context()) {
		t.Fatalf("problems: %+v", m.Snapshot().Problems)
	}
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.Guard.LastSnapshot()
	if !strings.Contains(m.Problem("guard-snapshot").Text, "cannot keep the guard's snapshot") {
		t.Errorf("problems: %+v", m.Snapshot().Problems)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	m.Guard.LastSnapshot()
	if m.Problem("guard-snapshot").Text != "" {
		t.Errorf("problems: %+v", m.Snapshot().Problems)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Without a guard it would only become old.
	enforce.Forget(m.Host)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is there without a guard: %v", err)
	}
}

// TestGuardInDoubt: that the guard could not begin with its snapshot stands in the status
// until it is started anew.
func TestGuardInDoubt(t *testing.T) {
	m := enforcing(t, protocol.Facts{Start: "the snapshot is old"})
	if !m.Guard.Agree(t.Context()) || !strings.Contains(m.Problem("guard-doubt").Text, "the snapshot is old") {
		t.Errorf("problems: %+v", m.Snapshot().Problems)
	}
	again := filepath.Join(t.TempDir(), "guard.sock")
	end, err := guardtest.Serve(again, guardtest.NewMemory(), protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	m.Guard.Doubt()
	m.Guard.Socket = again
	if !m.Guard.Agree(t.Context()) || m.Problem("guard-doubt").Text != "" {
		t.Errorf("started anew, problems: %+v", m.Snapshot().Problems)
	}
}

// TestGuardThatWaitsForACheck: what a check has found stands in the status until one has passed,
// and a snapshot says that the guard enforces from then on, though the index did not go on.
func TestGuardThatWaitsForACheck(t *testing.T) {
	m := guarded(t)
	stop, err := guardtest.Serve(m.Guard.Socket, m.kernel, protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce, Check: true}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- m.Guard.Follow(ctx) }()
	go func() { ended <- m.Guard.KeepSnapshot(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	until := func(what string, is func() bool) {
		t.Helper()
		for range 300 {
			if is() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("%s: problems %+v", what, m.Snapshot().Problems)
	}
	kept := func() (is protocol.Begun) {
		is, err := protocol.Start{
			State: m.Config.State, Stale: guard.Audit, Key: protocol.KeyIn(filepath.Join(m.Config.State, identity.DERFile)),
			Commit: func() (uint64, error) { return store.LatestCommit(m.Config.State) },
		}.Begin(guardtest.NewMemory())
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	until("the guard agrees", func() (is bool) {
		m.Exec.Do(ctx, func() error { is = m.Guard.Agreed; return nil })
		return is
	})
	m.comes("hello", "a")
	until("a snapshot of what is audited", func() bool { return kept() == protocol.Begun{} })
	c, err := protocol.Dial(ctx, m.Guard.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Checked(ctx, protocol.Check{Looked: 9, Refused: 1, First: []string{"/sbin/init"}}); err != nil {
		t.Fatal(err)
	}
	until("it has not passed", func() bool {
		return strings.Contains(m.Problem("guard-check").Text, "1 of 9 files that this machine needs: /sbin/init")
	})
	if err := c.Checked(ctx, protocol.Check{Looked: 9}); err != nil {
		t.Fatal(err)
	}
	until("it has passed", func() bool { return m.Problem("guard-check").Text == "" })
	until("a snapshot of what is enforced", func() bool { return kept() == protocol.Begun{Checked: true} })
}

// TestGuardIsToldOfTheNextList: a guard that is started again, as when it is upgraded, is told of the
// next list before anybody has to ask for that.
func TestGuardIsToldOfTheNextList(t *testing.T) {
	m := guarded(t)
	facts := protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce}
	serve := func() (stop func() error) {
		t.Helper()
		stop, err := guardtest.Serve(m.Guard.Socket, m.kernel, facts, &protocol.Log{}, os.Getuid())
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Guard.Follow(ctx) }()
	agreed := func(want bool) bool {
		for range 200 {
			var is bool
			m.Exec.Do(t.Context(), func() error { is = m.Guard.Agreed; return nil })
			if is == want {
				return true
			}
			time.Sleep(50 * time.Millisecond)
		}
		return false
	}
	stop := serve()
	if !agreed(true) {
		t.Fatalf("it is there, and problems are %+v", m.Snapshot().Problems)
	}
	m.comes("one", "a")
	for i := range 3 {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if !agreed(false) {
			t.Fatal("nobody noticed that it is gone")
		}
		stop = serve()
		if !agreed(true) {
			t.Fatalf("it is back, and problems are %+v", m.Snapshot().Problems)
		}
		content := string(rune('b' + i))
		m.comes("two"+content, content)
		if m.kernel.Lists[sha256.Sum256([]byte(content))] != 1 || m.kernel.At != m.Index.(*store.Index).Commits() {
			t.Errorf("start %d: it does not let run what came: %d digests, commit %d", i, len(m.kernel.Lists), m.kernel.At)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestTransactionThatDoesNotFit: it is refused before it begins where its programs would
// be, and only there.
func TestTransactionThatDoesNotFit(t *testing.T) {
	hello := []gendb.Small{pkg(t, "hello", "a")}
	for name, test := range map[string]struct {
		mode        string // of the guard, "" is enforce
		change      func(m *machine)
		come, leave []gendb.Small
		want        wire.Decision
	}{
		"there is room":       {come: hello, want: wire.Proceed},
		"there is none":       {change: func(m *machine) { m.kernel.Most = 1000 }, come: hello, want: wire.Refuse},
		"nothing is added":    {change: func(m *machine) { m.kernel.Most = 1000 }, leave: hello, want: wire.Proceed},
		"nothing is enforced": {mode: "audit", change: func(m *machine) { m.kernel.Most = 1000 }, come: hello, want: wire.Proceed},
		"nobody is asked": {change: func(m *machine) {
			m.kernel.Most = 1000
			m.Guard.Doubt()
			m.Guard.Socket += ".gone"
		}, come: hello, want: wire.Proceed},
		"for some, not for all": {change: func(m *machine) { m.kernel.Most = 65_536 + 2*256 },
			come: []gendb.Small{pkg(t, "one", "a"), pkg(t, "two", "b"), pkg(t, "three", "c")}, want: wire.Refuse},
	} {
		t.Run(name, func(t *testing.T) {
			m := enforcing(t, protocol.Facts{Wanted: protocol.Change{Mode: test.mode}})
			m.agrees("it is there")
			if test.change != nil {
				test.change(m)
			}
			v := m.begins(test.come, test.leave).Verdict
			if got := v.Decision; got != test.want && (test.want != wire.Proceed || got != wire.Assured) {
				t.Errorf("decided %v, want %v: %+v", got, test.want, v.Notes)
			}
			if test.want == wire.Refuse && (len(v.Notes) != 1 || !strings.Contains(v.Notes[0].Text, "digestctl guard audit")) {
				t.Errorf("notes: %+v", v.Notes)
			}
		})
	}
}
