// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/enforce"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store"
)

// enforcing is a daemon whose guard enforces what it is told.
func enforcing(t *testing.T, facts protocol.Facts) (*Daemon, *guardtest.Memory) {
	t.Helper()
	d, kernel, socket := guarded(t)
	facts.Wanted, facts.Most = protocol.Change{Mode: "enforce"}, guard.Enforce
	end, err := guardtest.Serve(socket, kernel, facts, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.rooms.Guard.Close()
		end()
	})
	return d, kernel
}

func (d *Daemon) problem(id string) string {
	i := slices.IndexFunc(d.Snapshot().Problems, func(p api.Problem) bool { return p.ID == id })
	if i < 0 {
		return ""
	}
	return d.Snapshot().Problems[i].Text
}

// install has a transaction bring a list of contents.
func (d *Daemon) install(t *testing.T, name string, contents ...string) {
	t.Helper()
	txn := newTransaction()
	err := d.on(t, func(s *ledger.Ledger) error {
		s.Opened(txn)
		_, err := s.Add(txn, 0, d.staged(t, name, contents[0], contents...))
		return err
	})
	d.on(t, func(s *ledger.Ledger) error { s.Installed(txn, 0); return nil })
	if _, _, eerr := d.Exec.End(t.Context(), txn); errors.Join(err, eerr) != nil {
		t.Fatal(err, eerr)
	}
}

// TestSnapshotFollows: with what digestd leaves on disk a guard begins as it was, until
// the index goes on; the next snapshot makes that good.
func TestSnapshotFollows(t *testing.T) {
	d, _ := enforcing(t, protocol.Facts{})
	if !d.rooms.Guard.Agree(t.Context()) {
		t.Fatalf("problems: %+v", d.Snapshot().Problems)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.rooms.Guard.KeepSnapshot(ctx) }()
	defer cancel()
	begin := func() (*guardtest.Memory, string) {
		t.Helper()
		next := guardtest.NewMemory()
		doubt, _, err := protocol.Start{
			State: d.Config.State, Stale: guard.Audit,
			Key:    protocol.KeyIn(filepath.Join(d.Config.State, identity.DERFile)),
			Commit: func() (uint64, error) { return store.LatestCommit(d.Config.State) },
		}.Begin(next)
		if err != nil {
			t.Fatal(err)
		}
		return next, doubt
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
		if commit := d.Index.(*store.Index).Commits(); next.At != commit || doubt != "" {
			t.Errorf("%s: it agrees with commit %d of %d, doubt %q", what, next.At, commit, doubt)
		}
	}
	d.install(t, "hello", "a", "b")
	if _, doubt := begin(); doubt == "" {
		t.Error("a snapshot was there before digestd could have written one")
	}
	within("a list came", "a", "b")
	d.install(t, "more", "c")
	if _, doubt := begin(); !strings.Contains(doubt, "the guard's snapshot is of commit") {
		t.Errorf("the index went on, doubt %q", doubt)
	}
	within("another came", "a", "b", "c")
	// What is left to do is done when digestd ends.
	d.install(t, "last", "d")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	d.rooms.Guard.LastSnapshot()
	within("digestd ended", "a", "b", "c", "d")
}

// TestSnapshotCannotBeWritten: a problem says so until one can.
func TestSnapshotCannotBeWritten(t *testing.T) {
	d, _ := enforcing(t, protocol.Facts{})
	d.install(t, "hello", "a")
	path := filepath.Join(d.Config.State, snapshot.Name)
	d.rooms.Guard.LastSnapshot()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a guard that agrees with nothing had a snapshot: %v", err)
	}
	if !d.rooms.Guard.Agree(t.Context()) {
		t.Fatalf("problems: %+v", d.Snapshot().Problems)
	}
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.rooms.Guard.LastSnapshot()
	if !strings.Contains(d.problem("guard-snapshot"), "cannot keep the guard's snapshot") {
		t.Errorf("problems: %+v", d.Snapshot().Problems)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	d.rooms.Guard.LastSnapshot()
	if d.problem("guard-snapshot") != "" {
		t.Errorf("problems: %+v", d.Snapshot().Problems)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// Without a guard it would only become old.
	enforce.Forget(d.Host)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is there without a guard: %v", err)
	}
}

// TestGuardInDoubt: that the guard could not begin with its snapshot stands in the status
// until it is started anew.
func TestGuardInDoubt(t *testing.T) {
	d, _ := enforcing(t, protocol.Facts{Start: "the snapshot is old"})
	if !d.rooms.Guard.Agree(t.Context()) || !strings.Contains(d.problem("guard-doubt"), "the snapshot is old") {
		t.Errorf("problems: %+v", d.Snapshot().Problems)
	}
	again := filepath.Join(t.TempDir(), "guard.sock")
	end, err := guardtest.Serve(again, guardtest.NewMemory(), protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	d.rooms.Guard.Doubt()
	d.rooms.Guard.Socket = again
	if !d.rooms.Guard.Agree(t.Context()) || d.problem("guard-doubt") != "" {
		t.Errorf("started anew, problems: %+v", d.Snapshot().Problems)
	}
}

// TestGuardIsFollowed: a guard that is started again, as when it is upgraded, is told of the
// next list before anybody has to ask for that.
func TestGuardIsFollowed(t *testing.T) {
	d, kernel, socket := guarded(t)
	facts := protocol.Facts{Wanted: protocol.Change{Mode: "enforce"}, Most: guard.Enforce}
	serve := func() (stop func() error) {
		t.Helper()
		stop, err := guardtest.Serve(socket, kernel, facts, &protocol.Log{}, os.Getuid())
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.rooms.Guard.Follow(ctx) }()
	agreed := func(want bool) bool {
		for range 200 {
			var is bool
			d.Exec.Do(t.Context(), func() error { is = d.rooms.Guard.Agreed; return nil })
			if is == want {
				return true
			}
			time.Sleep(50 * time.Millisecond)
		}
		return false
	}
	stop := serve()
	if !agreed(true) {
		t.Fatalf("it is there, and problems are %+v", d.Snapshot().Problems)
	}
	d.install(t, "one", "a")
	for i := range 3 {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if !agreed(false) {
			t.Fatal("nobody noticed that it is gone")
		}
		stop = serve()
		if !agreed(true) {
			t.Fatalf("it is back, and problems are %+v", d.Snapshot().Problems)
		}
		content := string(rune('b' + i))
		d.install(t, "two"+content, content)
		if kernel.Lists[sha256.Sum256([]byte(content))] != 1 || kernel.At != d.Index.(*store.Index).Commits() {
			t.Errorf("start %d: it does not let run what came: %d digests, commit %d", i, len(kernel.Lists), kernel.At)
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
	for name, test := range map[string]struct {
		change   func(d *Daemon, kernel *guardtest.Memory)
		elements []wire.ElementType
		want     wire.Decision
	}{
		"there is room":       {elements: []wire.ElementType{wire.Added}, want: wire.Proceed},
		"there is none":       {change: func(_ *Daemon, m *guardtest.Memory) { m.Most = 1000 }, elements: []wire.ElementType{wire.Added}, want: wire.Refuse},
		"nothing is added":    {change: func(_ *Daemon, m *guardtest.Memory) { m.Most = 1000 }, elements: []wire.ElementType{wire.RemovedElement}, want: wire.Proceed},
		"nothing is enforced": {change: func(_ *Daemon, m *guardtest.Memory) { m.Most, m.Is.Mode = 1000, guard.Audit }, elements: []wire.ElementType{wire.Added}, want: wire.Proceed},
		"nobody is asked": {change: func(d *Daemon, m *guardtest.Memory) {
			m.Most = 1000
			d.rooms.Guard.Doubt()
			d.rooms.Guard.Socket += ".gone"
		}, elements: []wire.ElementType{wire.Added}, want: wire.Proceed},
		"for some, not for all": {change: func(_ *Daemon, m *guardtest.Memory) { m.Most = 65_536 + 2*256 },
			elements: []wire.ElementType{wire.Added, wire.Added, wire.Added}, want: wire.Refuse},
	} {
		t.Run(name, func(t *testing.T) {
			d, kernel := enforcing(t, protocol.Facts{})
			if !d.rooms.Guard.Agree(t.Context()) {
				t.Fatalf("problems: %+v", d.Snapshot().Problems)
			}
			if test.change != nil {
				test.change(d, kernel)
			}
			dev, ino, err := d.Root.ID()
			if err != nil {
				t.Fatal(err)
			}
			begin := &wire.Begin{Root: d.Config.Root, RootDev: dev, RootIno: ino}
			for _, e := range test.elements {
				pkg := nevra.NEVRA{Name: "hello", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
				begin.Elements = append(begin.Elements, wire.Element{Type: e, NEVRA: pkg})
			}
			ours, theirs, err := socketPair()
			if err != nil {
				t.Fatal(err)
			}
			reply := wire.NewConn(theirs)
			defer reply.Close()
			s := d.rooms.Sessions.New(ours)
			defer ours.Close()
			if _, err := s.Begin(t.Context(), begin); err != nil {
				t.Fatal(err)
			}
			m, err := reply.Read(t.Context(), 10*time.Second, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			v := m.(*wire.Verdict)
			if got := v.Decision; got != test.want && (test.want != wire.Proceed || got != wire.Assured) {
				t.Errorf("decided %v, want %v: %+v", got, test.want, v.Notes)
			}
			if test.want == wire.Refuse && (len(v.Notes) != 1 || !strings.Contains(v.Notes[0].Text, "digestctl guard audit")) {
				t.Errorf("notes: %+v", v.Notes)
			}
		})
	}
}
