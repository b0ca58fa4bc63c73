// SPDX-License-Identifier: Apache-2.0

package advisory

import (
	"time"

	"golang.org/x/sys/unix"
)

// leastStep is the least by which the clock counts as set: it drifts, and is corrected.
const leastStep = time.Minute

// steps tells by how much the clock of this machine was set.
type steps struct {
	first   time.Time     // of the first call
	wall    time.Time     // of the last call, by the clock that can be set
	elapsed time.Duration // from the first call to the last, by the clocks that cannot be
}

// next returns by how much the clock was set since the last call, 0 at the first.
func (s *steps) next(now time.Time) time.Duration {
	if s.first.IsZero() {
		s.first = now
	}
	// Sub measures by the monotonic clock, which stands still while the machine is suspended.
	return s.at(now.Round(0), now.Sub(s.first)+suspended())
}

// at is next, for a time by the wall clock and one that cannot be set.
func (s *steps) at(wall time.Time, elapsed time.Duration) (by time.Duration) {
	if !s.wall.IsZero() {
		by = wall.Sub(s.wall) - (elapsed - s.elapsed)
	}
	s.wall, s.elapsed = wall, elapsed
	if by.Abs() < leastStep {
		return 0
	}
	return by
}

// suspended is how long the machine was suspended since it was started.
func suspended() time.Duration {
	var boot, monotonic unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - monotonic.Nano()).Truncate(time.Second)
}
