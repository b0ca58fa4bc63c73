// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
)

// TestIndexIsWrittenAgain: what could not be recorded is as soon as it can be, with
// nobody asking for it.
func TestIndexIsWrittenAgain(t *testing.T) {
	m := daemontest.New(t)
	daemontest.Loop(t, m.Reconciler.ChoreLoop)
	let := m.StopCommits(t)
	err := m.Exec.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		s.SetLine(record.Line{Name: "late", Arch: "noarch"})
		s.Record()
		return nil
	})
	if err == nil || len(m.Snapshot().Problems) != 1 {
		t.Fatalf("commit: %v, problems: %v", err, m.Snapshot().Problems)
	}
	let()
	awaitWish(t, m, "the index can be written again")
	if c, err := m.Index.Load(); err != nil || len(c.Lines) != 1 || len(m.Snapshot().Problems) > 0 {
		t.Errorf("the index has %v (%v), problems: %v", c.Lines, err, m.Snapshot().Problems)
	}
}

// TestListThatResists: a list that could not be removed is, as soon as it can be; status
// names it until then.
func TestListThatResists(t *testing.T) {
	needs.Root(t)
	m := daemontest.New(t)
	daemontest.Loop(t, m.Reconciler.ChoreLoop)
	hello := small(t, "hello")
	m.Install(t, hello)
	m.Sync(t)
	list := filepath.Join(m.Config.Lists, listOf(hello))
	change := func(how string) {
		t.Helper()
		if out, err := exec.Command("chattr", how, list).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	change("+i")
	defer exec.Command("chattr", "-i", list).Run()
	m.Erase(t, hello)
	m.Reconciler.Run(t.Context(), "test", daemontest.Quiet)
	if text := m.Problem("leftover").Text; !strings.Contains(text, listOf(hello)) {
		t.Errorf("problems are %+v", m.Snapshot().Problems)
	}
	change("-i")
	daemontest.Await(t, "the list is gone", func() bool { return len(m.Names(t)) == 0 })
	daemontest.Await(t, "nothing is left", func() bool { return len(m.Snapshot().Problems) == 0 })
}
