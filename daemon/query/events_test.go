// SPDX-License-Identifier: Apache-2.0

package query_test

import (
	"context"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/record"
)

// numbers are those of entries.
func numbers(events []api.Event) (n []uint64) {
	for _, e := range events {
		n = append(n, e.Seq)
	}
	return n
}

// The log is read from its end: the newest entry comes first, and a caller who has seen
// some asks for those before, or after.
func TestLog(t *testing.T) {
	m := daemontest.New(t)
	digest := record.Digest{1}
	m.Enter(t, func(s *ledger.Ledger) {
		for i, e := range []record.Event{
			{Kind: "published", Package: "a-0:1-1.noarch", List: "tlv-a", Digest: digest, Counter: 9},
			{Kind: "floor-set", Package: "a.noarch", Reason: "why"},
			{Kind: "published", Package: "b-0:1-1.noarch", List: "tlv-b", Key: "ABCDEF12"},
			{Kind: "granted", Package: "b-0:1-1.noarch", UID: 7, PID: 8},
			{Kind: "verified", Text: "clean"},
		} {
			e.UID = max(e.UID, uint32(i%2))
			s.Event(e)
		}
	})
	all := pages(t, 2, func(offset, limit uint32) ([]api.Event, uint32, error) {
		return m.Query.Log(t.Context(), api.LogFilter{}, offset, limit)
	})
	first := all[len(all)-1].Seq
	if want := []uint64{first + 4, first + 3, first + 2, first + 1, first}; !slices.Equal(numbers(all), want) {
		t.Fatalf("the log has %v, want %v", numbers(all), want)
	}
	if e := all[4]; e.Kind != "published" || e.NEVRA != "a-0:1-1.noarch" || e.Digest != digest.String() || e.Counter != 9 || e.List != "tlv-a" || e.When.IsZero() {
		t.Errorf("the first entry is %+v", e)
	}
	if e := all[3]; e.NEVRA != "" || e.Package != "a.noarch" || e.Digest != "" || e.Reason != "why" {
		t.Errorf("the second, of no version, is %+v", e)
	}
	if e := all[1]; e.Actor.UID != 7 || e.Actor.PID != 8 {
		t.Errorf("the fourth is by %+v", e.Actor)
	}
	for name, c := range map[string]struct {
		filter api.LogFilter
		want   []uint64
	}{
		"by kind":     {api.LogFilter{Kind: "published"}, []uint64{first + 2, first}},
		"before":      {api.LogFilter{Before: first + 2}, []uint64{first + 1, first}},
		"after":       {api.LogFilter{After: first + 2}, []uint64{first + 4, first + 3}},
		"between":     {api.LogFilter{After: first, Before: first + 2}, []uint64{first + 1}},
		"by a key":    {api.LogFilter{Key: "CDEF12"}, []uint64{first + 2}},
		"by name":     {api.LogFilter{Package: "a"}, []uint64{first + 1, first}},
		"by nothing":  {api.LogFilter{Kind: "*", Package: "none"}, []uint64{}},
		"by its list": {api.LogFilter{List: "tlv-?", Kind: "publ*"}, []uint64{first + 2, first}},
	} {
		found, total, err := m.Query.Log(t.Context(), c.filter, 0, 10)
		if got := numbers(found); err != nil || !slices.Equal(got, c.want) || int(total) != len(c.want) {
			t.Errorf("%s: %v of %d, %v, want %v", name, got, total, err, c.want)
		}
	}
	for _, filter := range []api.LogFilter{{Kind: "["}, {Package: "a["}, {List: `\`}} {
		_, _, err := m.Query.Log(t.Context(), filter, 0, 10)
		wantCode(t, "a pattern that is none", err, api.InvalidArgument)
	}
	rollbacks, total, err := m.RollbackLog(t.Context(), 0, 1)
	if err != nil || total != 2 || !slices.Equal(numbers(rollbacks), []uint64{first + 3}) {
		t.Errorf("about versions: %v of %d, %v", numbers(rollbacks), total, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Query.Log(gone, api.LogFilter{}, 0, 10); err == nil {
		t.Error("the log was read for a caller who has gone")
	}
}
