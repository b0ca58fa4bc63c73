// SPDX-License-Identifier: Apache-2.0

package enforce_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/enforce"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store"
)

// machine is a daemon that tells a guard of its lists.
type machine struct {
	*daemontest.Machine
	t      *testing.T
	kernel *guardtest.Memory
	mode   string // of the guard
}

func guarded(t *testing.T) *machine {
	t.Helper()
	m := &machine{Machine: daemontest.New(t, func(c *config.Config) { c.Guard = "enforce" }), t: t, kernel: guardtest.NewMemory(), mode: "off"}
	dir, err := os.MkdirTemp("", "digestd-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m.Guard.Socket = filepath.Join(dir, "s")
	return m
}

// begin starts the guard; end ends it, as when it is upgraded: the kernel keeps what it has.
func (m *machine) begin() (end func()) {
	m.t.Helper()
	mode, err := guard.ParseMode(m.mode)
	if err != nil {
		m.t.Fatal(err)
	}
	stop, err := guardtest.Serve(m.Guard.Socket, m.kernel, protocol.Facts{Wanted: protocol.Change{Mode: m.mode}, Most: mode}, &protocol.Log{}, os.Getuid())
	if err != nil {
		m.t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		m.drop()
		if err := stop(); err != nil {
			m.t.Error(err)
		}
	})
	m.t.Cleanup(end)
	return end
}

// drop ends the connection with the guard, as a daemon that ends does.
func (m *machine) drop() {
	m.Exec.Do(m.t.Context(), func() error {
		m.Guard.Agreed = false
		m.Guard.Close()
		return nil
	})
}

// holds compares what the guard has with these contents, and its commit with the index's.
func (m *machine) holds(when string, contents ...string) {
	m.t.Helper()
	want := map[guard.Digest]uint32{}
	for _, content := range contents {
		want[sha256.Sum256([]byte(content))]++
	}
	if !maps.Equal(m.kernel.Lists, want) {
		m.t.Errorf("%s: the guard has %d contents, want %v", when, len(m.kernel.Lists), contents)
	}
	if commit := m.Index.(*store.Index).Commits(); m.kernel.At != commit {
		m.t.Errorf("%s: the guard agrees with commit %d, want %d", when, m.kernel.At, commit)
	}
}

func (m *machine) agrees(when string) {
	m.t.Helper()
	if !m.Guard.Agree(m.t.Context()) {
		m.t.Errorf("%s: digestd could not send all lists to the guard: %+v", when, m.Snapshot().Problems)
	}
	if p := m.Problem("guard"); p.Text != "" {
		m.t.Errorf("%s: status says %+v", when, p)
	}
}

func (m *machine) withdraw(pkg string) {
	m.t.Helper()
	if err := m.FloorSet(m.t.Context(), daemontest.Root, pkg+".noarch", "2-1", "test"); err != nil {
		m.t.Errorf("%s: %v", pkg, err)
	}
}

// pkg is a package of files by their contents.
func pkg(t *testing.T, name string, contents ...string) gendb.Small {
	files := map[string]string{}
	for _, content := range contents {
		files["/usr/bin/"+content] = content
	}
	return daemontest.Package(t, name, "", files)
}

func listOf(name string) string { return "tlv-" + name + "-0:1-1.noarch" }

// TestGuardFollows: the guard holds what active lists do, with the commit of the index
// that says so; after it was away, too; and only then.
func TestGuardFollows(t *testing.T) {
	m := guarded(t)
	m.Install(t, pkg(t, "early", "e"))
	m.Sync(t)
	if m.Guard.Agree(t.Context()) || !strings.Contains(m.Problem("guard").Text, "could not send all lists to the guard") {
		t.Errorf("the guard is not there, and status says %+v", m.Problem("guard"))
	}
	end := m.begin()
	m.agrees("it is there")
	m.holds("told of all", "e")
	m.Install(t, pkg(t, "one", "a", "b"), pkg(t, "two", "b"))
	m.Sync(t)
	m.holds("two lists have one content", "e", "a", "b", "b")
	m.withdraw("one")
	m.holds("one is withdrawn", "e", "b")
	end()
	m.withdraw("two") // which the guard keeps from nothing
	if m.Problem("guard").Text == "" {
		t.Error("status does not say that the guard was not told")
	}
	end = m.begin()
	m.agrees("it is back")
	m.holds("it is back", "e")
	// Changes that another program made to a list are undone.
	m.Install(t, pkg(t, "three", "c"))
	m.Sync(t)
	m.holds("a third list", "e", "c")
	if err := os.Remove(filepath.Join(m.Config.Lists, listOf("three"))); err != nil {
		t.Fatal(err)
	}
	m.Reconciler.CheckDirectory(t.Context(), nil)
	m.agrees("a list was removed by something else")
	m.holds("a list was removed by something else", "e")
	m.Sync(t)
	m.agrees("it was made again")
	m.holds("it was made again", "e", "c")
	// Digests that the guard has already are not sent again.
	m.kernel.Lists[guard.Digest{1}] = 1
	end()
	m.begin()
	m.agrees("nothing changed")
	if m.kernel.Lists[guard.Digest{1}] != 1 {
		t.Error("it agreed with the index, and was told of everything")
	}
}

// TestGuardCountsLists: a list that the guard was not told of takes nothing from it, nor
// does one that goes twice.
func TestGuardCountsLists(t *testing.T) {
	m := guarded(t)
	m.begin()
	m.Install(t, pkg(t, "known", "c"))
	m.Sync(t)
	m.agrees("at the start")
	whole, err := os.ReadFile(filepath.Join(m.Config.Lists, listOf("known")))
	if err != nil {
		t.Fatal(err)
	}
	expel := func(name string) {
		t.Helper()
		if err := m.Exec.Do(t.Context(), func() error { return m.Guard.Expel([]executor.List{{Name: name, Content: whole}}) }); err != nil {
			t.Error(err)
		}
	}
	expel("tlv-unknown-0:1-1.noarch")
	m.Commit(t)
	m.holds("a list went that it did not know", "c")
	m.withdraw("known")
	expel(listOf("known"))
	m.Commit(t)
	m.holds("a list went twice")
}

// TestGuardPassesOverUnreadableLists: one list that cannot be read keeps the guard from
// none of the others, and is named until all are compared again.
func TestGuardPassesOverUnreadableLists(t *testing.T) {
	m := guarded(t)
	m.begin()
	m.Install(t, pkg(t, "bad", "b"), pkg(t, "good", "g"))
	m.Sync(t)
	m.drop()
	bad := listOf("bad")
	failing := true
	read := func(name string) ([]byte, error) {
		if name == bad && failing {
			return nil, errors.New(bad + " cannot be read")
		}
		return m.Dir.Read(name, nil)
	}
	compare := func() (err error) {
		m.Exec.Do(t.Context(), func() error {
			active, _ := m.Guard.Active()
			err = m.Guard.Compare(active, false, read)
			return nil
		})
		return err
	}
	for range 2 {
		m.Exec.Do(t.Context(), func() error { m.Guard.Doubt(); return nil })
		for range 2 { // the second time nothing is compared, and it is named all the same
			if err := compare(); err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("compared: %v", err)
			}
		}
	}
	m.holds("one cannot be read", "g")
	failing = false
	m.Exec.Do(t.Context(), func() error { m.Guard.Doubt(); return nil })
	if err := compare(); err != nil {
		t.Error(err)
	}
	m.holds("all can be read", "b", "g")
}

// TestGuardAfterCrash: a guard that agrees with the index's commit is told of all lists as
// soon as digestd is there, before a comparison, if the digestd before may have died between
// a change of the directory and the guard's: rpm's database may be unreadable for long.
func TestGuardAfterCrash(t *testing.T) {
	for _, c := range []struct {
		name  string
		crash func(m *machine)
		want  []string
	}{
		{"amid the removal of a list", func(m *machine) {
			if err := os.Remove(filepath.Join(m.Config.Lists, listOf("two"))); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
		{"amid a transaction", func(m *machine) {
			m.kernel.Lists[guard.Digest{1}] = 1 // of a list that was replaced
			m.Exec.State.Unsettled = true
		}, []string{"a", "b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := guarded(t)
			m.begin()
			m.Install(t, pkg(t, "one", "a"), pkg(t, "two", "b"))
			m.Sync(t)
			m.agrees("at the start")
			m.holds("at the start", "a", "b")
			m.drop()
			m.Exec.Do(t.Context(), func() error { c.crash(m); return nil })
			m.agrees("after the crash")
			m.holds("after the crash", c.want...)
		})
	}
}

// TestGuardThatFails is told of everything again, for nobody knows what it holds.
func TestGuardThatFails(t *testing.T) {
	m := guarded(t)
	m.begin()
	m.Install(t, pkg(t, "one", "a"))
	m.Sync(t)
	m.agrees("at the start")
	m.kernel.Fail = errors.New("no memory")
	m.Install(t, pkg(t, "two", "b"))
	m.Sync(t) // rpm and lists go on
	if text := m.Problem("guard").Text; !strings.Contains(text, "no memory") || len(m.Names(t)) != 2 {
		t.Errorf("status says %q; the lists are %v", text, m.Names(t))
	}
	m.kernel.Fail = nil
	m.agrees("it takes contents again")
	m.holds("it takes contents again", "a", "b")
}

// TestGuardIsFollowed: a guard that comes, or ends and comes again, is told of all lists
// with nobody asking for it.
func TestGuardIsFollowed(t *testing.T) {
	m := guarded(t)
	m.Install(t, pkg(t, "one", "a"))
	m.Sync(t)
	daemontest.Loop(t, m.Guard.Follow)
	told := func(when string) {
		t.Helper()
		daemontest.Await(t, when, func() (agreed bool) {
			m.Exec.Do(t.Context(), func() error { agreed = m.Guard.Agreed; return nil })
			return agreed
		})
	}
	stop := m.begin()
	told("it came")
	m.holds("it came", "a")
	stop()
	m.kernel = guardtest.NewMemory()
	m.begin()
	told("it came again")
	m.holds("it came again", "a")
}

// TestGuardIsToldUntilTheEnd: digestd commits until it ends, also after the loops have.
func TestGuardIsToldUntilTheEnd(t *testing.T) {
	m := guarded(t)
	m.begin()
	for i := range 20 { // which of two things happens at the end of the loop is chance
		stop := daemontest.Loop(t, m.Guard.Follow)
		daemontest.Await(t, "it is told", func() (agreed bool) {
			m.Exec.Do(t.Context(), func() error { agreed = m.Guard.Agreed; return nil })
			return agreed
		})
		stop()
		m.comes(fmt.Sprint("one", i), fmt.Sprint("a", i))
		if commit := m.Index.(*store.Index).Commits(); m.kernel.At != commit {
			t.Fatalf("end %d: the guard agrees with commit %d, want %d", i, m.kernel.At, commit)
		}
	}
}

// TestSnapshotIsKept: what the guard begins with is written after commits and at the end;
// it goes where the guard is not used, and status says what keeps it from being written.
func TestSnapshotIsKept(t *testing.T) {
	m := guarded(t)
	m.begin()
	file := filepath.Join(m.Config.State, snapshot.Name)
	there := func() bool { _, err := os.Stat(file); return err == nil }
	m.Guard.LastSnapshot()
	if there() {
		t.Error("a snapshot was taken of a guard that was told of nothing")
	}
	m.Install(t, pkg(t, "one", "a"))
	m.Sync(t)
	m.agrees("at the start")
	m.Guard.LastSnapshot()
	if !there() {
		t.Error("no snapshot is left at the end")
	}
	enforce.Forget(m.Host)
	enforce.Forget(m.Host)
	if there() {
		t.Error("the snapshot stays though the guard is not used")
	}
	stop := daemontest.Loop(t, m.Guard.KeepSnapshot)
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	m.Install(t, pkg(t, "two", "b"))
	m.Sync(t)
	daemontest.Await(t, "status says that it cannot be written", func() bool { return m.Problem("guard-snapshot").Text != "" })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "it is written", there)
	daemontest.Await(t, "status says nothing more", func() bool { return m.Problem("guard-snapshot").Text == "" })
	stop()
}

// TestRoom: what may not fit into the guard is said before it comes, where that would not
// run; where nothing is refused, or the guard is away, all may come.
func TestRoom(t *testing.T) {
	const many = 1 << 24 // more than any guard has room for
	room := func(m *machine, packages int) (err error) {
		m.Exec.Do(t.Context(), func() error { err = m.Guard.Room(packages); return nil })
		return err
	}
	m := guarded(t)
	m.mode = "enforce"
	m.Sync(t)
	if err := room(m, many); err != nil {
		t.Errorf("the guard is away: %v", err)
	}
	m.begin()
	m.agrees("at the start")
	if err := room(m, 0); err != nil {
		t.Errorf("nothing comes: %v", err)
	}
	if err := room(m, many); err == nil || !strings.Contains(err.Error(), "cannot allow the files of 16777216 packages") {
		t.Errorf("much comes: %v", err)
	}
	m = guarded(t)
	m.mode = "audit"
	m.begin()
	m.agrees("at the start")
	if err := room(m, many); err != nil {
		t.Errorf("the guard refuses nothing: %v", err)
	}
}

// TestWithoutGuard: a daemon without one has nothing to do for it.
func TestWithoutGuard(t *testing.T) {
	var g *enforce.Guard
	if err := g.Room(1); err != nil || !g.Agree(t.Context()) || g.Follow(t.Context()) != nil || g.KeepSnapshot(t.Context()) != nil {
		t.Error("something is left to do")
	}
	g.LastSnapshot()
}
