// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
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
