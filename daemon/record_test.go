// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/store"
)

func recorder(t *testing.T) *state {
	t.Helper()
	index, _, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	s := &state{index: index, log: slog.New(slog.NewTextHandler(io.Discard, nil)), now: time.Now}
	if err := s.load(false); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *state) record(t *testing.T, n int) (oldest uint64, size int) {
	t.Helper()
	for range n {
		s.event(store.Event{Kind: "verified"})
	}
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	events, err := s.index.EventsAfter(0, maxWaiting+1)
	if err != nil || len(events) != len(s.kept.decisions) || events[0].Seq != s.kept.decisions[0] {
		t.Fatalf("the index has %d entries from %d on, the state %d from %d, %v", len(events), events[0].Seq, len(s.kept.decisions), s.kept.decisions[0], err)
	}
	return events[0].Seq, len(events)
}

// The log has an end, but keeps what waits for the journal.
func TestLogIsBounded(t *testing.T) {
	s := recorder(t)
	s.waits = true
	if oldest, size := s.record(t, maxLog+500); oldest != 1 || size != maxLog+500 {
		t.Errorf("nobody took them, and %d are left from %d on", size, oldest)
	}
	s.taken[takerJournal] = 200
	if oldest, _ := s.record(t, 1); oldest != 201 {
		t.Errorf("200 were taken, and the oldest is %d", oldest)
	}
	s.taken[takerJournal] = s.nextSeq - 1
	if _, size := s.record(t, 1); size != maxLog {
		t.Errorf("all were taken, and %d are left", size)
	}
	if _, size := s.record(t, maxWaiting); size != maxWaiting {
		t.Errorf("the journal is away for long, and %d are left", size)
	}

	s = recorder(t)
	if _, size := s.record(t, maxLog+500); size != maxLog {
		t.Errorf("nobody is to take them, and %d are left", size)
	}
}

// One process is looked up once a commit, while it is there.
func TestUnitOfActor(t *testing.T) {
	s := recorder(t)
	asked := 0
	s.unitOf = func(pid uint32) string { asked++; return "a.service" }
	for range 3 {
		s.event(store.Event{Kind: "published", PID: 7})
	}
	s.event(store.Event{Kind: "published"})
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	s.event(store.Event{Kind: "published", PID: 7})
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	var units []string
	s.index.EachEvent(0, func(e store.Event) bool { units = append(units, e.Unit); return true })
	if len(units) != 5 || units[0] != "a.service" || units[1] != "" || units[4] != "a.service" {
		t.Errorf("got %q", units)
	}
}

// Log selects by all that it is asked for.
func TestLogSelects(t *testing.T) {
	uid := uint32(5)
	e := store.Event{Seq: 3, When: time.Unix(100, 0), Kind: "rollback-refused", Package: "bash-0:5.2-1.x86_64", List: "tlv-bash", Key: "aabbccdd", UID: 5}
	for _, c := range []struct {
		filter api.LogFilter
		want   bool
	}{
		{api.LogFilter{}, true},
		{api.LogFilter{Kind: "rollback-*", Package: "bash", List: "tlv-*", Key: "ccdd", UID: &uid, Since: time.Unix(100, 0), Until: time.Unix(101, 0)}, true},
		{api.LogFilter{Package: "bash.x86_64"}, true},
		{api.LogFilter{Package: "bash-5.2-1.x86_64"}, true},
		{api.LogFilter{Package: "bash-0:5.2-1.x86_64"}, true},
		{api.LogFilter{Package: "ba"}, false},
		{api.LogFilter{Kind: "refused"}, false},
		{api.LogFilter{List: "bash"}, false},
		{api.LogFilter{Key: "aabb"}, false},
		{api.LogFilter{UID: new(uint32)}, false},
		{api.LogFilter{Since: time.Unix(101, 0)}, false},
		{api.LogFilter{Until: time.Unix(100, 0)}, false},
	} {
		if got := selects(&c.filter, &e); got != c.want {
			t.Errorf("%+v: got %v", c.filter, got)
		}
	}
	floor := store.Event{Kind: "floor-set", Package: "python3.11.x86_64"}
	if !selects(&api.LogFilter{Package: "python3.11"}, &floor) {
		t.Error("a floor is not found by the name of its package")
	}
}
