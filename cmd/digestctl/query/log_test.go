// SPDX-License-Identifier: Apache-2.0

package query

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 15, 6, 7, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"":                     "0001-01-01T00:00:00Z",
		"2026-01-31":           "2026-01-31T00:00:00+01:00",
		"2026-01-31 12:00":     "2026-01-31T12:00:00+01:00",
		"2026-01-31 12:00:30":  "2026-01-31T12:00:30+01:00",
		"2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z",
		"12:30":                "2026-03-04T12:30:00+01:00",
		"90s":                  "2026-03-04T15:04:37+01:00",
		"1h30m":                "2026-03-04T13:36:07+01:00",
		"4d":                   "2026-02-28T15:06:07+01:00",
	} {
		got, err := parseTime("since", text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "31", "d", "2026-13-01", "99999999999d"} {
		if got, err := parseTime("since", text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
