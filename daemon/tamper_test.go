// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// watched is a recorder with a clock.
func watched(t *testing.T) (*executor, *time.Time) {
	t.Helper()
	x := recorder(t)
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	x.now = func() time.Time { return now }
	return x, &now
}

// that enters what another program did.
func (x *executor) that(t *testing.T, fact func(s *state)) {
	t.Helper()
	if err := x.enter(t.Context(), "test", func(s *state) error { fact(s); s.record(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// ofKind returns the entries of the log of one kind, the oldest first.
func (x *executor) ofKind(t *testing.T, kind string) (found []record.Event) {
	t.Helper()
	events, err := x.index.EventsAfter(0, maxWaiting)
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
	x.that(t, func(s *state) { s.event(record.Event{Kind: "granted", Text: "ticket 4711"}) })
	x.that(t, func(s *state) {
		for i := range 3 * maxTampering {
			s.tampered(fmt.Sprintf("tlv-e%d", i), record.Digest{}, "put there by another hand")
			*now = now.Add(tamperPause) // slowly enough to be told each
			s.clock = *now
		}
		s.event(record.Event{Kind: "floor-set"})
	})
	if n := len(x.ofKind(t, "granted")) + len(x.ofKind(t, "floor-set")); n != 2 {
		t.Errorf("%d of 2 decisions are left", n)
	}
	if told := x.ofKind(t, audit.KindTampered); len(told) != maxTampering || told[len(told)-1].List != fmt.Sprintf("tlv-e%d", 3*maxTampering-1) {
		t.Errorf("%d cases are left", len(told))
	}
	// Another start finds each in its room.
	rooms := x.state.kept
	found, err := roomsOf(x.index.EachKind)
	if err != nil || len(found.decisions) != 2 || len(found.tampering) != maxTampering || found.tampering[0] != rooms.tampering[0] {
		t.Errorf("a start finds %d decisions and %d cases, %v", len(found.decisions), len(found.tampering), err)
	}
	// Decisions make room for each other only.
	x.that(t, func(s *state) {
		for range maxLog {
			s.event(record.Event{Kind: "published"})
		}
	})
	if n := len(x.ofKind(t, "granted")); n != 0 {
		t.Errorf("the log has more than %d decisions", maxLog)
	}
	if n := len(x.ofKind(t, audit.KindTampered)); n != maxTampering {
		t.Errorf("decisions pushed cases out: %d are left", n)
	}
}

// A flood is told by its first cases and a sum, our own lists by themselves.
func TestTamperingIsSummedUp(t *testing.T) {
	x, now := watched(t)
	sumUp := func() (left bool) {
		x.that(t, func(s *state) { left = s.sumUp() })
		return left
	}
	tampered := func(name string) {
		x.that(t, func(s *state) { s.tampered(name, record.Digest{}, "put there by another hand") })
	}
	x.that(t, func(s *state) {
		s.put(&view.Entry{List: record.List{Name: "tlv-ours", State: record.Active}})
		for i := range 5000 {
			s.tampered(fmt.Sprintf("tlv-e%d", i), record.Digest{}, "put there by another hand")
		}
		s.tampered("tlv-ours", record.Digest{}, "content is not what was published")
	})
	if told := x.ofKind(t, audit.KindTampered); len(told) != foreignBurst+1 || told[foreignBurst].List != "tlv-ours" {
		t.Errorf("%d cases are told", len(told))
	}
	if !sumUp() {
		t.Error("nothing is left to be summed up")
	}
	*now = now.Add(tamperPause)
	if sumUp() {
		t.Error("something is left after the sum")
	}
	told := x.ofKind(t, audit.KindTampered)
	sum := told[len(told)-1].Text
	if len(told) != foreignBurst+2 || !strings.Contains(sum, fmt.Sprint(5000-foreignBurst)) || !strings.Contains(sum, "tlv-e4999") {
		t.Errorf("%d cases are told, the sum is %q", len(told), sum)
	}
	*now = now.Add(-time.Hour) // a clock that is set back stops nothing
	tampered("tlv-later")
	*now = now.Add(tamperPause)
	tampered("tlv-later-still")
	if told := x.ofKind(t, audit.KindTampered); told[len(told)-1].List != "tlv-later-still" {
		t.Errorf("after a pause the last case told is %+v", told[len(told)-1])
	}
}
