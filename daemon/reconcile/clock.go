// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"time"

	"github.com/digestd/digestd/kernel"
)

// clockPause is how often the clock is looked at where no timer can be had.
const clockPause = time.Minute

// ClockLoop judges anew when time changes a judgement: a key or a signature ends, or
// the time of a signature from the future comes, by the wall clock, be it that
// somebody set that.
func (rc *Reconciler) ClockLoop(ctx context.Context) error {
	timer, err := kernel.NewWallTimer()
	if err != nil {
		rc.Logger.Warn("clock is looked at once a minute", "error", err)
		return rc.watchClock(ctx)
	}
	defer timer.Close()
	for {
		next := rc.Snapshot().NextChange(rc.Now())
		if err := timer.Set(next); err != nil {
			rc.Logger.Warn("clock is looked at once a minute", "error", err)
			return rc.watchClock(ctx)
		}
		if !next.IsZero() && !next.After(rc.Now()) {
			rc.timeChanged(ctx) // the clock was set between
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rc.Timed:
		case come := <-timer.C:
			if come || rc.Snapshot().WaitsForTime() {
				rc.timeChanged(ctx)
			}
		}
	}
}

// watchClock does what ClockLoop does, once a minute.
func (rc *Reconciler) watchClock(ctx context.Context) error {
	ticker := time.NewTicker(clockPause)
	defer ticker.Stop()
	for last := rc.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// By the wall clock alone: the other one stands still in a suspend.
		now := rc.Now().Round(0)
		next := rc.Snapshot().NextChange(last)
		stepped := now.Sub(last) < 0 || now.Sub(last) > 2*clockPause
		if !next.IsZero() && !next.After(now) || stepped && rc.Snapshot().WaitsForTime() {
			rc.timeChanged(ctx)
		}
		last = now
	}
}

func (rc *Reconciler) timeChanged(ctx context.Context) {
	rc.TrustChanged(ctx, "time has come for a key or a signature")
}
