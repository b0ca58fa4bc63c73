// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// TestNextChange: the first of the times that change a judgement.
func TestNextChange(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(days int) time.Time { return now.AddDate(0, 0, days) }
	s := &view.Snapshot{Lists: view.Lists{Entries: []*view.Entry{
		{List: record.List{State: record.Active, Signature: &record.Signature{Ends: at(3)}}},
		{List: record.List{State: record.Active, Signature: &record.Signature{}}},
		{List: record.List{State: record.Active, From: at(1)}}, // no longer
		{List: record.List{State: record.Withheld, From: at(2)}},
		{List: record.List{State: record.Withheld, Signature: &record.Signature{Ends: at(1)}}},
	}}}
	for days, want := range map[int]time.Time{0: at(2), 2: at(3), 3: {}} {
		if got := s.NextChange(at(days)); !got.Equal(want) {
			t.Errorf("after %d days: %v, want %v", days, got, want)
		}
	}
}

// TestWaitsForTime: a clock that is set back may return what it took.
func TestWaitsForTime(t *testing.T) {
	ends := func(e *view.Entry) { e.Signature = &record.Signature{Ends: today} }
	for name, tc := range map[string]struct {
		changes []change
		want    bool
	}{
		"active":                         {nil, false},
		"active, its signature ends":     {[]change{ends}, true},
		"its key expired":                {[]change{in(record.Withheld), reason(policy.ReasonKeyExpired)}, true},
		"its signature is not valid yet": {[]change{in(record.Withheld), reason(policy.ReasonNotYetValid)}, true},
		"denied":                         {[]change{in(record.Withheld), reason(policy.ReasonDenied)}, false},
		"retired, its key expired":       {[]change{in(record.Retired), reason(policy.ReasonKeyExpired)}, false},
	} {
		if got := snapshot(entry(t, "a-1-1.noarch", tc.changes...)).WaitsForTime(); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
