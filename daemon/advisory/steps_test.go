// SPDX-License-Identifier: Apache-2.0

package advisory

import (
	"testing"
	"time"
)

// TestSteps: only a clock that is set counts, not time that passes.
func TestSteps(t *testing.T) {
	s := new(steps)
	begin := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	network := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		what    string
		wall    time.Time
		elapsed time.Duration
		want    time.Duration
	}{
		{"the first look", begin, time.Hour, 0},
		{"an hour later", begin.Add(time.Hour), 2 * time.Hour, 0},
		{"the clock is set", network, 2*time.Hour + time.Minute, network.Sub(begin.Add(time.Hour)) - time.Minute},
		{"a week later, with some drift", network.Add(7*24*time.Hour + time.Second), 7*24*time.Hour + 2*time.Hour + time.Minute, 0},
		{"set back", network, 7*24*time.Hour + 2*time.Hour + time.Minute, -7*24*time.Hour - time.Second},
	} {
		if got := s.at(c.wall, c.elapsed); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	// As this machine tells the time, nothing was set.
	s = new(steps)
	for range 2 {
		if got := s.next(time.Now()); got != 0 {
			t.Errorf("set by %v", got)
		}
	}
	// A time that a test gives has no other clock.
	s = new(steps)
	for _, now := range []time.Time{begin, network} {
		if got := s.next(now); got != 0 {
			t.Errorf("set by %v", got)
		}
	}
}
