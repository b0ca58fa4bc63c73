// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// watched is a recorder with a clock.
func watched(t *testing.T) (*executor.Executor, *time.Time) {
	t.Helper()
	x := recorder(t)
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	x.Now = func() time.Time { return now }
	return x, &now
}

// that enters what another program did.
func that(t *testing.T, x *executor.Executor, fact func(s *ledger.Ledger)) {
	t.Helper()
	if err := x.Enter(t.Context(), "test", func(s *ledger.Ledger) error { fact(s); s.Record(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// ofKind returns the entries of the log of one kind, the oldest first.
func ofKind(t *testing.T, x *executor.Executor, kind string) (found []record.Event) {
	t.Helper()
	events, err := x.Index.EventsAfter(0, state.MaxWaiting)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// However much others do to the directory, no decision leaves the log for it.
func TestTamperingEvictsNoDecision(t *testing.T) {
	x, now := watched(t)
	that(t, x, func(s *ledger.Ledger) { s.Event(record.Event{Kind: "granted", Text: "ticket 4711"}) })
	that(t, x, func(s *ledger.Ledger) {
		for i := range 3 * state.MaxTampering {
			s.Tampered(fmt.Sprintf("tlv-e%d", i), record.Digest{}, "another program put it there")
			*now = now.Add(state.TamperPause) // slowly enough to be told each
			s.Clock = *now
		}
		s.Event(record.Event{Kind: "floor-set"})
	})
	if n := len(ofKind(t, x, "granted")) + len(ofKind(t, x, "floor-set")); n != 2 {
		t.Errorf("%d of 2 decisions are left", n)
	}
	if told := ofKind(t, x, audit.KindTampered); len(told) != state.MaxTampering || told[len(told)-1].List != fmt.Sprintf("tlv-e%d", 3*state.MaxTampering-1) {
		t.Errorf("%d cases are left", len(told))
	}
	// Another start finds each in its room.
	rooms := x.State.Kept
	found, err := roomsOf(x.Index.EachKind)
	if err != nil || len(found.Decisions) != 2 || len(found.Tampering) != state.MaxTampering || found.Tampering[0] != rooms.Tampering[0] {
		t.Errorf("a start finds %d decisions and %d cases, %v", len(found.Decisions), len(found.Tampering), err)
	}
	// Decisions make room for each other only.
	that(t, x, func(s *ledger.Ledger) {
		for range state.MaxLog {
			s.Event(record.Event{Kind: "published"})
		}
	})
	if n := len(ofKind(t, x, "granted")); n != 0 {
		t.Errorf("the log has more than %d decisions", state.MaxLog)
	}
	if n := len(ofKind(t, x, audit.KindTampered)); n != state.MaxTampering {
		t.Errorf("decisions pushed cases out: %d are left", n)
	}
}

// A flood is told by its first cases and a sum, our own lists by themselves.
func TestTamperingIsSummedUp(t *testing.T) {
	x, now := watched(t)
	sumUp := func() (left bool) {
		that(t, x, func(s *ledger.Ledger) { left = s.SumUp() })
		return left
	}
	tampered := func(name string) {
		that(t, x, func(s *ledger.Ledger) { s.Tampered(name, record.Digest{}, "another program put it there") })
	}
	that(t, x, func(s *ledger.Ledger) {
		s.Put(&view.Entry{List: record.List{Name: "tlv-ours", State: record.Active}})
		for i := range 5000 {
			s.Tampered(fmt.Sprintf("tlv-e%d", i), record.Digest{}, "another program put it there")
		}
		s.Tampered("tlv-ours", record.Digest{}, "content is not what was published")
	})
	if told := ofKind(t, x, audit.KindTampered); len(told) != state.ForeignBurst+1 || told[state.ForeignBurst].List != "tlv-ours" {
		t.Errorf("%d cases are told", len(told))
	}
	if !sumUp() {
		t.Error("nothing is left to be summed up")
	}
	*now = now.Add(state.TamperPause)
	if sumUp() {
		t.Error("something is left after the sum")
	}
	told := ofKind(t, x, audit.KindTampered)
	sum := told[len(told)-1].Text
	if len(told) != state.ForeignBurst+2 || !strings.Contains(sum, fmt.Sprint(5000-state.ForeignBurst)) || !strings.Contains(sum, "tlv-e4999") {
		t.Errorf("%d cases are told, the sum is %q", len(told), sum)
	}
	*now = now.Add(-time.Hour) // a clock that is set back stops nothing
	tampered("tlv-later")
	*now = now.Add(state.TamperPause)
	tampered("tlv-later-still")
	if told := ofKind(t, x, audit.KindTampered); told[len(told)-1].List != "tlv-later-still" {
		t.Errorf("after a pause the last case told is %+v", told[len(told)-1])
	}
}

// A file that is too large for the quarantine takes no room there from those that are
// found with it, and several that are kept take it together.
func TestQuarantineCountsWhatItKeeps(t *testing.T) {
	var found []state.Seen
	sizes := []int64{state.MaxAsideBytes + 1, state.MaxAsideBytes / 2, state.MaxAsideBytes, state.MaxAsideBytes / 2, 1}
	for i, size := range sizes {
		found = append(found, state.Seen{Expected: state.Expected{Name: fmt.Sprintf("tlv-x%d", i)}, Size: size})
	}
	s := recorder(t).State
	s.Inspected(found)
	if len(s.Plan.Aside) != len(sizes) {
		t.Fatalf("of %d files %d go", len(sizes), len(s.Plan.Aside))
	}
	for i, dropped := range []bool{true, false, true, false, true} {
		if s.Plan.Aside[i].Drop != dropped {
			t.Errorf("file %d, of %d bytes, is dropped: %v", i, sizes[i], !dropped)
		}
	}
}
