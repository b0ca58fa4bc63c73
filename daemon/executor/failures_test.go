// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// A change that was made and cannot be recorded is no error of an act, and one of a fact; in
// both cases the next commit carries it, and its signals wait for that.
func TestRecordedLater(t *testing.T) {
	for _, act := range []bool{true, false} {
		m := newMachine(t)
		m.place(t, "tlv-old", "old")
		enter := m.Enter
		if act {
			enter = m.Decide
		}
		err := enter(t.Context(), "test", func(s *ledger.Ledger) error {
			withdraw(s, "tlv-old")
			s.Sync()
			s.Record()
			m.fail["sync"] = errDisk
			if !act {
				m.fail["commit"] = errDisk
			}
			m.Hooks.Lost = func(state.Withdrawal, []byte) { m.fail["commit"] = errDisk } // after the intent
			return nil
		})
		if act == errors.Is(err, errDisk) {
			t.Errorf("act %v: %v", act, err)
		}
		if got := m.holds(t); got != "" {
			t.Errorf("act %v: the directory holds %s", act, got)
		}
		if !act && slices.Contains(m.did, "tell withdrawn tlv-old") {
			t.Errorf("told before it is durable: %q", m.did)
		}
		if !m.State.Unsettled {
			t.Errorf("act %v: nobody looks at what was not synced", act)
		}
		clear(m.fail)
		if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.Record(); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := m.recorded(t); strings.Contains(got, "tlv-old") || !strings.Contains(got, "open") {
			t.Errorf("act %v: the index holds %q", act, got)
		}
		if n := len(slices.DeleteFunc(m.did, func(what string) bool { return what != "tell withdrawn tlv-old" })); n != 1 {
			t.Errorf("act %v: told %d times", act, n)
		}
	}
}

// Records that an earlier event left become durable with the intent of the next, and before it.
func TestEarlierRecordsComeFirst(t *testing.T) {
	m := newMachine(t)
	line := func(name string, record bool) func(s *ledger.Ledger) error {
		return func(s *ledger.Ledger) error {
			s.SetLine(recordLine(name))
			s.SetLine(recordLine("both", name))
			s.Plan.Record = record
			return nil
		}
	}
	if err := m.Enter(t.Context(), "test", line("earlier", false)); err != nil || m.recorded(t) != "" {
		t.Fatalf("%v, the index holds %s", err, m.recorded(t))
	}
	m.fail["commit"] = errDisk
	if err := m.Decide(t.Context(), "test", line("refused", true)); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	clear(m.fail)
	if err := m.Decide(t.Context(), "test", line("later", true)); err != nil || m.recorded(t) != "both both earlier later" {
		t.Errorf("%v, the index holds %s", err, m.recorded(t))
	}
}

// recordLine is a line of that name, and of that architecture.
func recordLine(name string, arch ...string) record.Line {
	return record.Line{Name: name, Arch: strings.Join(arch, "")}
}

// The body of an own list is the caller's again if the intent cannot be recorded, and one
// that nobody wants goes once that is recorded.
func TestBodies(t *testing.T) {
	m, dir := newMachine(t), t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("body"), 0o600); err != nil {
		t.Fatal(err)
	}
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }
	keep := func(s *ledger.Ledger) error {
		s.SetLine(recordLine("own"))
		s.Plan.Body = &state.BodyMove{From: from, To: to}
		return nil
	}
	drop := func(s *ledger.Ledger) error {
		s.SetLine(recordLine("gone"))
		s.Plan.Drop = to
		s.Record()
		return nil
	}
	m.fail["commit"] = errDisk
	if err := m.Decide(t.Context(), "test", keep); !errors.Is(err, errDisk) || !there(from) || there(to) {
		t.Errorf("%v, the body is kept: %t", err, there(to))
	}
	clear(m.fail)
	if err := m.Decide(t.Context(), "test", keep); err != nil || there(from) || !there(to) {
		t.Errorf("%v, the body is kept: %t", err, there(to))
	}
	m.fail["commit"] = errDisk
	if err := m.Enter(t.Context(), "test", drop); !errors.Is(err, errDisk) || !there(to) {
		t.Errorf("%v, the body is there: %t", err, there(to))
	}
	clear(m.fail)
	for range 2 { // it may be gone already
		if err := m.Enter(t.Context(), "test", drop); err != nil || there(to) {
			t.Errorf("%v, the body is there: %t", err, there(to))
		}
	}
	gone := func(s *ledger.Ledger) error { s.Plan.Body = &state.BodyMove{From: from, To: to}; return nil }
	if err := m.Decide(t.Context(), "test", gone); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "cannot keep list") {
		t.Errorf("a body that is not there: %v", err)
	}
}

// Many lists are made durable with their file system, few one by one.
func TestManyAreSyncedAtOnce(t *testing.T) {
	m := newMachine(t)
	for _, n := range []int{64, 65} {
		m.did = nil
		err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
			for i := range n {
				name := fmt.Sprintf("tlv-%d", i)
				m.publish(t, s, name, name)
				s.Sync(name)
			}
			return nil
		})
		if err != nil || slices.Contains(m.did, "sync all") != (n > 64) {
			t.Errorf("%d lists: %v, done: %q", n, err, m.did)
		}
	}
}

// A list that cannot appear, or of which nothing is known when it has, is not in the
// directory, and the caller hears so.
func TestPublishFails(t *testing.T) {
	for _, op := range []string{"publish tlv-new", "stat tlv-new"} {
		m := newMachine(t)
		m.fail[op] = errDisk
		err := m.Decide(t.Context(), "test", func(s *ledger.Ledger) error {
			m.publish(t, s, "tlv-new", "new")
			m.publish(t, s, "tlv-other", "other")
			return nil
		})
		if !errors.Is(err, errDisk) || m.holds(t) != "tlv-other" || m.State.ByName["tlv-new"] != nil || m.State.ByName["tlv-other"] == nil {
			t.Errorf("%s fails: %v, the directory holds %s", op, err, m.holds(t))
		}
		if got := entries(t, m.dir.Path()+".staging"); got != "" {
			t.Errorf("%s fails: staged is still %s", op, got)
		}
	}
	m := newMachine(t)
	m.fail["poke"] = errDisk
	err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.Plan.Poke = true; return nil })
	if !errors.Is(err, errDisk) || !m.State.Unsettled {
		t.Errorf("not poked: %v", err)
	}
}

// A list does not appear while nothing durable says that it comes.
func TestNothingAppearsUnannounced(t *testing.T) {
	m := newMachine(t)
	m.place(t, "tlv-old", "old")
	if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.PutMark(&s.Queue, false); s.Record(); return nil }); err != nil {
		t.Fatal(err)
	}
	err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		w := state.Withdrawal{Name: "tlv-old", Kept: func(old record.Staged) {
			// It asks for more, and that cannot be announced.
			m.fail["commit"] = errDisk
			s.Plan.Discard = append(s.Plan.Discard, old)
			m.publish(t, s, "tlv-new", "new")
		}}
		s.Plan.Withdraw = append(s.Plan.Withdraw, w)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "cannot publish tlv-new") || m.holds(t) != "" {
		t.Errorf("%v; the directory holds %s", err, m.holds(t))
	}
	if got := entries(t, m.dir.Path()+".staging"); got != "" {
		t.Errorf("staged is still %s", got)
	}
	// A list whose record is durable needs no more.
	clear(m.fail)
	err = m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		m.publish(t, s, "tlv-new", "new")
		s.Plan.Publish[0].Recorded = true
		return nil
	})
	if err != nil || m.holds(t) != "tlv-new" {
		t.Errorf("%v; the directory holds %s", err, m.holds(t))
	}
}

// A list that resists is gone for everybody but its file, which is tried again; where
// somebody wants to hear of it, it is theirs to answer.
func TestWithdrawFails(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"tlv-a", "tlv-b", "tlv-c"} {
		m.place(t, name, name)
		m.fail["withdraw "+name] = errDisk
	}
	var done executor.Done
	m.Hooks.After = func(d executor.Done) { done.Add(d) }
	refused := errors.New("the answer")
	taken := 0
	err := m.Decide(t.Context(), "test", func(s *ledger.Ledger) error {
		for _, name := range []string{"tlv-a", "tlv-b", "tlv-c"} {
			withdraw(s, name)
		}
		s.Plan.Withdraw[1].Kept = func(record.Staged) { taken++ }
		s.Plan.Withdraw[2].Resists = func(err error) error { return errors.Join(refused, err) }
		return nil
	})
	if !errors.Is(err, refused) || !errors.Is(err, errDisk) || taken != 1 {
		t.Errorf("answered: %v, taken out: %d", err, taken)
	}
	if left := m.State.Leftovers; len(left) != 2 || left["tlv-a"].Why == "" || left["tlv-b"].Why == "" || m.State.Problems[0].ID != "leftover" {
		t.Errorf("left: %+v, told: %+v", left, m.State.Problems)
	}
	if len(done.Gone) != 2 { // labels do not count on them any more
		t.Errorf("gone: %+v", done.Gone)
	}
	retry := func() {
		if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.RetryLeftovers(); s.Record(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	retry()
	if len(done.Gone) != 2 {
		t.Error("a list goes again with each attempt")
	}
	clear(m.fail)
	retry()
	if got := m.holds(t); got != "tlv-c" || len(m.State.Leftovers)+len(m.State.Problems) != 0 {
		t.Errorf("the directory holds %s, left: %v, told: %+v", got, m.State.Leftovers, m.State.Problems)
	}
	c, err := m.index.Load()
	if err != nil || len(c.Leftovers()) != 0 {
		t.Errorf("the index still has %v, %v", c.Leftovers(), err)
	}
}

// A file of another program that cannot be moved is told of; one there is no room for goes.
func TestSetAside(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"tlv-a", "tlv-b", "tlv-c"} {
		if err := os.WriteFile(filepath.Join(m.dir.Path(), name), []byte("another program's"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.fail["set aside tlv-c"] = errDisk
	err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		for name, size := range map[string]int64{"tlv-a": 1, "tlv-b": state.MaxAsideBytes + 1, "tlv-c": 1} {
			s.Quarantine(&state.Seen{Expected: state.Expected{Name: name}, Size: size}, record.Digest{}, "put there")
		}
		s.Record()
		return nil
	})
	if err != nil || m.holds(t) != "tlv-c" || len(m.State.Asides) != 1 || m.State.Asides[0].List != "tlv-a" || !m.aside(t, m.State.Asides[0].Name) {
		t.Errorf("%v; the directory holds %s, aside: %+v", err, m.holds(t), m.State.Asides)
	}
	if !slices.ContainsFunc(m.State.Problems, func(p api.Problem) bool { return p.ID == "directory" }) {
		t.Errorf("told: %+v", m.State.Problems)
	}
}

// aside reports whether a file is in quarantine.
func (m *machine) aside(t *testing.T, name string) bool {
	t.Helper()
	names, err := m.dir.Quarantined()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(names, name)
}

// A caller who waits for a turn is let go when its context or the daemon ends.
func TestTurns(t *testing.T) {
	m := newMachine(t)
	stop, end := context.WithCancel(t.Context())
	ran := make(chan bool)
	go func() { m.Run(stop); close(ran) }()
	err := m.Do(t.Context(), func() error {
		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		return m.Do(late, func() error { t.Error("two at once"); return nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited in vain: %v", err)
	}
	end()
	<-ran
	if err := m.Do(t.Context(), func() error { return nil }); !errors.Is(err, executor.ErrStopping) {
		t.Errorf("after the end: %v", err)
	}
	if _, _, err := m.End(t.Context(), &state.Transaction{}); !errors.Is(err, executor.ErrStopping) {
		t.Errorf("a transaction after the end: %v", err)
	}
}

// Those who sleep are woken once, and none of them holds up the turn.
func TestWakes(t *testing.T) {
	m := newMachine(t)
	c := make(chan struct{}, 1)
	m.Wakes[state.WakeChores] = []chan<- struct{}{c, make(chan struct{})}
	for range 2 {
		if err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.Wake[state.WakeChores] = true; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(c) != 1 || m.State.Wake[state.WakeChores] {
		t.Errorf("woken %d times", len(c))
	}
}

// Damage that was found when the index was opened is reported and recorded, and a comparison
// follows if the index was lost.
func TestStart(t *testing.T) {
	for fate, want := range map[store.Fate]string{
		store.Intact:     "",
		store.Repaired:   "the index had lost its last commit, which digestd restored from the commit file",
		store.RolledBack: "the index was rolled back: 3 commits are lost; there is a copy in /aside",
		store.Missing:    "the index is missing; digestd started a new one after 3 commits and no longer knows which versions were superseded, except for installed packages",
		store.Damaged:    "the index was damaged (the disk refuses) and is kept in /aside; digestd started a new one and no longer knows which versions were superseded, except for installed packages",
	} {
		m := newMachine(t)
		if err := m.Start(store.Recovery{Fate: fate, Lost: 3, Aside: "/aside", Cause: errDisk}); err != nil {
			t.Fatal(err)
		}
		text := ""
		m.index.EachEvent(0, func(e record.Event) bool { text = e.Text; return true })
		if lost := want != "" && fate != store.Repaired; text != want || m.State.Unsettled != lost || len(m.State.Problems) > 0 != lost {
			t.Errorf("%v: recorded %q, told %+v", fate, text, m.State.Problems)
		}
		if m.Published.Load() == nil {
			t.Errorf("%v: readers see nothing", fate)
		}
	}
	m := newMachine(t)
	m.fail["settle"] = store.ErrStateReplaced
	if err := m.SettleIndex(); !errors.Is(err, store.ErrStateReplaced) || m.State.Problems[0].ID != "state" {
		t.Errorf("%v, told: %+v", err, m.State.Problems)
	}
	clear(m.fail)
	if err := m.SettleIndex(); err != nil || len(m.State.Problems) != 0 {
		t.Errorf("%v, told: %+v", err, m.State.Problems)
	}
	// A commit that is durable, but not for those who read the log, is no error.
	m.fail["behind"] = errDisk
	err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error { s.SetLine(record.Line{Name: "x"}); s.Record(); return nil })
	if err != nil || m.recorded(t) != "x" || m.State.Problems[0].ID != "index" {
		t.Errorf("%v, the index holds %s, told: %+v", err, m.recorded(t), m.State.Problems)
	}
}

// One process is looked up once a commit, while it is there.
func TestUnits(t *testing.T) {
	m := newMachine(t)
	asked := 0
	m.Units.Of = func(pid uint32) string { asked++; return "a.service" }
	for _, pids := range [][]uint32{{7, 7, 7, 0}, {7}} {
		err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
			for _, pid := range pids {
				s.Event(record.Event{Kind: "published", PID: pid})
			}
			s.Queue.Drop = append(s.Queue.Drop, 1)
			s.Record()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var units []string
	m.index.EachEvent(0, func(e record.Event) bool { units = append(units, e.Unit); return true })
	if asked != 2 || !slices.Equal(units, []string{"a.service", "", "a.service", "a.service"}) { // the latest first, without the one that was dropped
		t.Errorf("asked %d times, got %q", asked, units)
	}
}
