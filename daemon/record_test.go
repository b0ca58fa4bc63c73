// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"log/slog"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// recorder is an executor with an index and nothing else.
func recorder(t *testing.T) *executor.Executor {
	t.Helper()
	index, _, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	s := ledger.New(state.Settings{}, time.Now())
	found, err := readContent(index, t.TempDir(), false)
	if err == nil {
		err = s.Load(found)
	}
	if err != nil {
		t.Fatal(err)
	}
	return executor.New(s, index, nil, nil, slog.New(slog.DiscardHandler), time.Now)
}

// events records n entries, and returns the oldest that is left, and how many are.
func events(t *testing.T, x *executor.Executor, n int) (oldest uint64, size int) {
	t.Helper()
	err := x.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		for range n {
			s.Event(record.Event{Kind: "verified"})
		}
		s.Record()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	events, err := x.Index.EventsAfter(0, state.MaxWaiting+1)
	kept := x.State.Kept.Decisions
	if err != nil || len(events) != len(kept) || events[0].Seq != kept[0] {
		t.Fatalf("the index has %d entries from %d on, the state %d from %d, %v", len(events), events[0].Seq, len(kept), kept[0], err)
	}
	return events[0].Seq, len(events)
}

// The log has an end, but keeps what waits for the journal.
func TestLogIsBounded(t *testing.T) {
	x := recorder(t)
	s := x.State
	s.Waits = true
	if oldest, size := events(t, x, state.MaxLog+500); oldest != 1 || size != state.MaxLog+500 {
		t.Errorf("nobody took them, and %d are left from %d on", size, oldest)
	}
	s.Taken[state.TakerJournal] = 200
	if oldest, _ := events(t, x, 1); oldest != 201 {
		t.Errorf("200 were taken, and the oldest is %d", oldest)
	}
	s.Taken[state.TakerJournal] = s.NextSeq - 1
	if _, size := events(t, x, 1); size != state.MaxLog {
		t.Errorf("all were taken, and %d are left", size)
	}
	if _, size := events(t, x, state.MaxWaiting); size != state.MaxWaiting {
		t.Errorf("the journal is away for long, and %d are left", size)
	}

	if _, size := events(t, recorder(t), state.MaxLog+500); size != state.MaxLog {
		t.Errorf("nobody is to take them, and %d are left", size)
	}
}

// One process is looked up once a commit, while it is there.
func TestUnitOfActor(t *testing.T) {
	x := recorder(t)
	asked := 0
	x.Units.Of = func(pid uint32) string { asked++; return "a.service" }
	for _, pids := range [][]uint32{{7, 7, 7, 0}, {7}} {
		err := x.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
			for _, pid := range pids {
				s.Event(record.Event{Kind: "published", PID: pid})
			}
			s.Record()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	var units []string
	x.Index.EachEvent(0, func(e record.Event) bool { units = append(units, e.Unit); return true })
	if len(units) != 5 || units[0] != "a.service" || units[1] != "" || units[4] != "a.service" {
		t.Errorf("got %q", units)
	}
}

// The position of the carriers is recorded with the next commit.
func TestTakenIsRecorded(t *testing.T) {
	x := recorder(t)
	events(t, x, 3)
	enter := func(fact func(s *ledger.Ledger)) {
		t.Helper()
		if err := x.Enter(t.Context(), "test", func(s *ledger.Ledger) error { fact(s); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	recorded := func() uint64 {
		t.Helper()
		c, err := x.Index.Load()
		if err != nil {
			t.Fatal(err)
		}
		return c.Taken[state.TakerJournal]
	}
	enter(func(s *ledger.Ledger) { s.TakenUpTo(state.TakerJournal, 2, false) })
	enter(func(s *ledger.Ledger) { s.Record() }) // of nothing, which is no commit
	if got := recorded(); got != 0 {
		t.Errorf("recorded up to %d without a reason", got)
	}
	events(t, x, 1)
	if got := recorded(); got != 2 {
		t.Errorf("recorded up to %d, want 2", got)
	}
	enter(func(s *ledger.Ledger) { s.TakenUpTo(state.TakerJournal, 3, true) })
	if got := recorded(); got != 3 {
		t.Errorf("recorded up to %d, want 3", got)
	}
}
