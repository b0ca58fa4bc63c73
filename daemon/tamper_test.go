// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/store"
)

// watched is a recorder with a list directory and a clock.
func watched(t *testing.T) (*state, *time.Time) {
	t.Helper()
	s := recorder(t)
	dir, err := store.OpenDir(filepath.Join(t.TempDir(), "lists"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s.dir, s.now = dir, func() time.Time { return now }
	return s, &now
}

// ofKind returns the entries of the log of one kind, the oldest first.
func (s *state) ofKind(t *testing.T, kind string) (found []store.Event) {
	t.Helper()
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	events, err := s.index.EventsAfter(0, maxWaiting)
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
	s, now := watched(t)
	s.event(store.Event{Kind: "granted", Text: "ticket 4711"})
	for i := range 3 * maxTampering {
		s.tampered(fmt.Sprintf("tlv-e%d", i), store.Digest{}, "put there by another hand")
		*now = now.Add(tamperPause) // slowly enough to be told each
	}
	s.event(store.Event{Kind: "floor-set"})
	if n := len(s.ofKind(t, "granted")) + len(s.ofKind(t, "floor-set")); n != 2 {
		t.Errorf("%d of 2 decisions are left", n)
	}
	if told := s.ofKind(t, audit.KindTampered); len(told) != maxTampering || told[len(told)-1].List != fmt.Sprintf("tlv-e%d", 3*maxTampering-1) {
		t.Errorf("%d cases are left", len(told))
	}
	// Another start finds each in its room.
	rooms := s.kept
	if err := s.loadLog(); err != nil {
		t.Fatal(err)
	}
	if len(s.kept.decisions) != 2 || len(s.kept.tampering) != maxTampering || s.kept.tampering[0] != rooms.tampering[0] {
		t.Errorf("a start finds %d decisions and %d cases", len(s.kept.decisions), len(s.kept.tampering))
	}
	// Decisions make room for each other only.
	for range maxLog {
		s.event(store.Event{Kind: "published"})
	}
	if n := len(s.ofKind(t, "granted")); n != 0 {
		t.Errorf("the log has more than %d decisions", maxLog)
	}
	if n := len(s.ofKind(t, audit.KindTampered)); n != maxTampering {
		t.Errorf("decisions pushed cases out: %d are left", n)
	}
}

// A flood is told by its first cases and a sum, our own lists by themselves.
func TestTamperingIsSummedUp(t *testing.T) {
	s, now := watched(t)
	s.put(&entry{List: store.List{Name: "tlv-ours", State: store.Active}})
	for i := range 5000 {
		s.tampered(fmt.Sprintf("tlv-e%d", i), store.Digest{}, "put there by another hand")
	}
	s.tampered("tlv-ours", store.Digest{}, "content is not what was published")
	if told := s.ofKind(t, audit.KindTampered); len(told) != foreignBurst+1 || told[foreignBurst].List != "tlv-ours" {
		t.Errorf("%d cases are told", len(told))
	}
	if !s.sumUp() {
		t.Error("nothing is left to be summed up")
	}
	*now = now.Add(tamperPause)
	if s.sumUp() {
		t.Error("something is left after the sum")
	}
	told := s.ofKind(t, audit.KindTampered)
	sum := told[len(told)-1].Text
	if len(told) != foreignBurst+2 || !strings.Contains(sum, fmt.Sprint(5000-foreignBurst)) || !strings.Contains(sum, "tlv-e4999") {
		t.Errorf("%d cases are told, the sum is %q", len(told), sum)
	}
	*now = now.Add(-time.Hour) // a clock that is set back stops nothing
	s.tampered("tlv-later", store.Digest{}, "put there by another hand")
	*now = now.Add(tamperPause)
	s.tampered("tlv-later-still", store.Digest{}, "put there by another hand")
	if told := s.ofKind(t, audit.KindTampered); told[len(told)-1].List != "tlv-later-still" {
		t.Errorf("after a pause the last case told is %+v", told[len(told)-1])
	}
}
