// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/enforce"
	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/guardtest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store"
)

// enforcer notes what it is told, and what of the list was in the directory then.
type enforcer struct {
	list string // its path
	told []string
	err  error
}

func (e *enforcer) note(what string, list []byte) error {
	there, err := os.ReadFile(e.list)
	switch {
	case err != nil:
		what += ", none there"
	case string(there) == string(list):
		what += ", it is there"
	default:
		what += ", another is there"
	}
	e.told = append(e.told, what)
	return e.err
}

func (e *enforcer) Admit(list executor.List, old []byte) error {
	if old != nil {
		return e.note("admit in the place of another", list.Content)
	}
	return e.note("admit", list.Content)
}

func (e *enforcer) Doubt() { e.told = append(e.told, "doubt") }

func (e *enforcer) Committed() error { return e.err }

func (e *enforcer) Expel(lists []executor.List) error {
	return e.note(fmt.Sprintf("expel %d", len(lists)), lists[0].Content)
}

// TestEnforcerIsTold: what the kernel holds follows the directory, before the answer, and
// also where a list resists.
func TestEnforcerIsTold(t *testing.T) {
	d := bare(t)
	name := "tlv-hello-0:1-1.noarch"
	e := &enforcer{list: filepath.Join(d.Config.Lists, name)}
	d.Exec.Hooks.Enforcer = e
	heard := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(e.told, want) {
			t.Errorf("%s: told %q, want %q", when, e.told, want)
		}
		e.told = nil
	}
	add := func(build string) {
		t.Helper()
		txn := newTransaction()
		err := d.on(t, func(s *ledger.Ledger) error {
			s.Opened(txn)
			_, err := s.Add(txn, 0, d.staged(t, "hello", build, "a", build))
			return err
		})
		if err == nil {
			err = d.on(t, func(s *ledger.Ledger) error {
				s.Installed(txn, 0)
				return nil
			})
		}
		if _, _, eerr := d.Exec.End(t.Context(), txn); errors.Join(err, eerr) != nil {
			t.Fatal(err, eerr)
		}
	}
	add("b")
	heard("published", "admit, it is there")
	add("c")
	heard("replaced", "admit in the place of another, it is there")
	e.err = errors.New("no answer")
	if err := d.FloorSet(t.Context(), api.Actor{}, "hello.noarch", "2-1", "why"); err != nil {
		t.Error(err)
	}
	heard("withdrawn", "expel 1, none there")
	if !slices.ContainsFunc(d.Snapshot().Problems, func(p api.Problem) bool {
		return p.ID == "guard" && strings.Contains(p.Text, "no answer")
	}) {
		t.Errorf("problems are %+v", d.Snapshot().Problems)
	}
}

// guarded is a daemon that tells a guard in memory of its lists.
func guarded(t *testing.T) (*Daemon, *guardtest.Memory, string) {
	t.Helper()
	d := bare(t)
	d.rooms.Guard = enforce.New(d.Host, filepath.Join(t.TempDir(), "guard.sock"), d.Index.(*store.Index))
	d.rooms.Reconciler.Guard = d.rooms.Guard
	d.Exec.Hooks.Enforcer = d.rooms.Guard
	return d, guardtest.NewMemory(), d.rooms.Guard.Socket
}

// TestGuardFollows: the guard holds what active lists do, with the commit of the index
// that says so; after it was away, too; and only then.
func TestGuardFollows(t *testing.T) {
	d, kernel, socket := guarded(t)
	start := func() (stop func()) {
		t.Helper()
		end, err := guardtest.Serve(socket, kernel, protocol.Facts{Wanted: protocol.Change{Mode: "off"}}, &protocol.Log{}, os.Getuid())
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			d.rooms.Guard.Agreed = false // as with another digestd
			d.rooms.Guard.Close()
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
	holds := func(when string, contents ...string) {
		t.Helper()
		want := map[guard.Digest]uint32{}
		for _, content := range contents {
			want[sha256.Sum256([]byte(content))]++
		}
		if !maps.Equal(kernel.Lists, want) {
			t.Errorf("%s: it has %d contents, want %v", when, len(kernel.Lists), contents)
		}
		if commit := d.Index.(*store.Index).Commits(); kernel.At != commit {
			t.Errorf("%s: it agrees with commit %d, want %d", when, kernel.At, commit)
		}
	}
	add := func(name string, contents ...string) {
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
	if d.rooms.Guard.Agree(t.Context()) {
		t.Error("it is not there, and agrees")
	}
	add("early", "e")
	stop := start()
	if !d.rooms.Guard.Agree(t.Context()) {
		t.Fatalf("problems: %+v", d.Snapshot().Problems)
	}
	holds("told of all", "e")
	add("one", "a", "b")
	add("two", "b")
	holds("two lists have one content", "e", "a", "b", "b")
	if err := d.FloorSet(t.Context(), api.Actor{}, "one.noarch", "2-1", "why"); err != nil {
		t.Fatal(err)
	}
	holds("one is withdrawn", "e", "b")
	stop()
	if err := d.FloorSet(t.Context(), api.Actor{}, "two.noarch", "2-1", "why"); err != nil {
		t.Errorf("without the guard: %v", err)
	}
	if !slices.ContainsFunc(d.Snapshot().Problems, func(p api.Problem) bool { return p.ID == "guard" }) {
		t.Error("nobody is told that the guard was not")
	}
	stop = start()
	defer func() { stop() }()
	if !d.rooms.Guard.Agree(t.Context()) || len(d.Snapshot().Problems) > 0 {
		t.Errorf("it is back, and problems are %+v", d.Snapshot().Problems)
	}
	holds("it is back", "e")
	// What somebody else did to a list is made good.
	add("three", "c")
	holds("a third list", "e", "c")
	if err := os.Remove(filepath.Join(d.Config.Lists, "tlv-three-0:1-1.noarch")); err != nil {
		t.Fatal(err)
	}
	d.rooms.Reconciler.CheckDirectory(t.Context(), nil)
	if !d.rooms.Guard.Agree(t.Context()) {
		t.Errorf("a list was removed, and problems are %+v", d.Snapshot().Problems)
	}
	holds("a list was removed by something else", "e")
	add("three", "c")
	holds("it is back", "e", "c")
	// A list that the guard was not told of does not take what another holds.
	whole, err := os.ReadFile(filepath.Join(d.Config.Lists, "tlv-three-0:1-1.noarch"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.rooms.Guard.Expel([]executor.List{{Name: "tlv-four-0:1-1.noarch", Content: whole}}); err != nil {
			t.Error(err)
		}
	}
	holds("a list went that it did not know", "e", "c")
	if err := d.FloorSet(t.Context(), api.Actor{}, "three.noarch", "2-1", "why"); err != nil {
		t.Fatal(err)
	}
	if err := d.rooms.Guard.Expel([]executor.List{{Name: "tlv-three-0:1-1.noarch", Content: whole}}); err != nil {
		t.Error(err)
	}
	holds("a list went twice", "e")
	// What it holds already is not said again.
	kernel.Lists[guard.Digest{1}] = 1
	stop()
	stop = start()
	if d.rooms.Guard.Agree(t.Context()); kernel.Lists[guard.Digest{1}] != 1 {
		t.Error("it agreed with the index, and was told of everything")
	}
}

// TestGuardPassesOverUnreadableLists: one list that cannot be read keeps the guard from
// none of the others, and is named until all are compared again.
func TestGuardPassesOverUnreadableLists(t *testing.T) {
	d, kernel, socket := guarded(t)
	end, err := guardtest.Serve(socket, kernel, protocol.Facts{Wanted: protocol.Change{Mode: "off"}}, &protocol.Log{}, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	bad, good := d.publishFor(t, "bad", "b"), d.publishFor(t, "good", "g")
	failing := true
	read := func(name string) ([]byte, error) {
		if name == bad && failing {
			return nil, errors.New(bad + " cannot be read")
		}
		return d.Dir.Read(name, nil)
	}
	active, _ := d.rooms.Guard.Active()
	for range 2 {
		if err := d.rooms.Guard.Compare(active, false, read); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("compared: %v", err)
		}
	}
	if _, known := kernel.Lists[sha256.Sum256([]byte("g"))]; !known || len(kernel.Lists) != 1 || !d.rooms.Guard.Held[good] || d.rooms.Guard.Held[bad] {
		t.Errorf("the guard has %d contents and counts %v", len(kernel.Lists), d.rooms.Guard.Held)
	}
	failing = false
	d.rooms.Guard.Doubt()
	if err := d.rooms.Guard.Compare(active, false, read); err != nil || len(kernel.Lists) != 2 {
		t.Errorf("%v; the guard has %d contents", err, len(kernel.Lists))
	}
	d.rooms.Guard.Close()
}
