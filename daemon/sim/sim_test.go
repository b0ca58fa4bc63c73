// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/sim"
)

// naive is a System without disk, faults or mistakes: all that it knows is in one
// Model of its own, which wrong may falsify before it answers.
type naive struct {
	sim.System // what it lacks panics
	m          *sim.Model
	wrong      func(*sim.Model, sim.Package) bool
	dir        map[string][]int
	pending    []sim.Package
	gone       []sim.Package

	loose, early, astray, differs, surplus string
}

func (n *naive) Arm(sim.Fault, uint64)       {}
func (n *naive) Fired() (string, int)        { return "", 0 }
func (n *naive) Tampered() int               { return 0 }
func (n *naive) Counter() (uint64, uint64)   { return 0, 0 }
func (n *naive) Loose() string               { return n.loose }
func (n *naive) Early() string               { return n.early }
func (n *naive) Astray() string              { return n.astray }
func (n *naive) Signed() map[string]string   { return nil }
func (n *naive) Guard(string) error          { return nil }
func (n *naive) Enforced(bool) string        { return n.differs }
func (n *naive) Surplus() string             { return n.surplus }
func (n *naive) Crash(bool, uint64)          {}
func (n *naive) Start() error                { return nil }
func (n *naive) Directory() map[string][]int { return n.dir }
func (n *naive) Put(sim.Package) error       { return nil }
func (n *naive) Failed(sim.Package) error    { return errors.New("not here") }

func (n *naive) Begin(added, _ []sim.Package) (sim.Verdict, error) {
	for _, p := range added {
		if n.m.Refused(p) && !n.wrong(n.m, p) {
			return sim.Refused, nil
		}
	}
	n.pending, n.gone = added, nil
	return sim.Unlisted, nil
}

func (n *naive) Unpack(p sim.Package) (sim.Verdict, error) {
	if !n.m.Listed(p) && !n.wrong(n.m, p) {
		return sim.Unlisted, nil
	}
	n.dir[p.List()] = sim.Sorted(slices.Clone(p.Contents))
	return sim.Listed, nil
}

func (n *naive) Gone(p sim.Package) error {
	if len(n.pending) == 0 || n.pending[0].List() != p.List() {
		delete(n.dir, p.List())
	}
	n.gone = append(n.gone, p)
	return nil
}

func (n *naive) End() error {
	n.m.Installed = append(n.m.Installed.Without(n.gone...), n.pending...)
	n.m.Compare()
	return nil
}

func (n *naive) Compare(in sim.Installed) error {
	n.m.Installed = in
	n.m.Compare()
	n.dir = n.m.Directory()
	return nil
}

func runNaive(t *testing.T, text string, wrong func(*sim.Model, sim.Package) bool) error {
	t.Helper()
	h, err := sim.ParseHistory(text)
	if err != nil {
		t.Fatal(err)
	}
	return sim.Run(h, &naive{m: sim.NewModel(), wrong: wrong, dir: map[string][]int{}})
}

// The model sees what a System does wrong, and nothing wrong in one that is right.
func TestModelSees(t *testing.T) {
	const upgrade = "install app-1.0.noarch\ninstall app-3.0.noarch\ninstall app-2.0.noarch\n"
	right := func(*sim.Model, sim.Package) bool { return false }
	if err := runNaive(t, upgrade+"erase app-3.0.noarch\ncompare\ninstall free-1.0.noarch", right); err != nil {
		t.Error(err)
	}
	rollback := func(m *sim.Model, p sim.Package) bool { return m.Rollback(p) }
	if err := runNaive(t, upgrade, rollback); err == nil || !strings.Contains(err.Error(), "may come") {
		t.Errorf("a rollback that is let in: %v", err)
	}
	h, _ := sim.ParseHistory("install app-1.0.noarch")
	fresh := func() *naive { return &naive{m: sim.NewModel(), wrong: right, dir: map[string][]int{}} }
	early, loose, astray, differs := fresh(), fresh(), fresh(), fresh()
	early.early, loose.loose, astray.astray, differs.differs = "a signal", "app-1.noarch", "a body", "content 1"
	if err := sim.Run(h, differs); err == nil || !strings.Contains(err.Error(), "differs from the lists: content 1") {
		t.Errorf("a guard that knows another content: %v", err)
	}
	surplus := fresh()
	surplus.surplus = "content 2"
	if err := sim.Run(h, surplus); err != nil {
		t.Errorf("what a guard lets run before a start: %v", err)
	}
	killed, _ := sim.ParseHistory("kill")
	if err := sim.Run(killed, surplus); err == nil || !strings.Contains(err.Error(), "before a comparison: content 2") {
		t.Errorf("a guard that is trusted after a crash: %v", err)
	}
	if err := sim.Run(h, astray); err == nil || !strings.Contains(err.Error(), "astray: a body") {
		t.Errorf("a file that nothing records: %v", err)
	}
	if err := sim.Run(h, early); err == nil || !strings.Contains(err.Error(), "too early: a signal") {
		t.Errorf("a signal before the commit: %v", err)
	}
	if err := sim.Run(h, loose); err == nil || !strings.Contains(err.Error(), "a power cut could undo") {
		t.Errorf("an answer before the sync: %v", err)
	}
	unsigned := func(_ *sim.Model, p sim.Package) bool { return p.Key == "" }
	if err := runNaive(t, "install free-1.0.noarch", unsigned); err == nil || !strings.Contains(err.Error(), "must not have") {
		t.Errorf("a list of what nobody signed: %v", err)
	}
}
