// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"time"

	"github.com/digestd/digestd/kernel"
)

// clockPause is how often the clock is looked at where no timer can be had.
const clockPause = time.Minute

// clockLoop judges anew when time changes a judgement: a key or a signature ends, or
// the time of a signature from the future comes, by the wall clock, be it that
// somebody set that.
func (rc *Reconciler) clockLoop(ctx context.Context) error {
	timer, err := kernel.NewWallTimer()
	if err != nil {
		rc.log.Warn("clock is looked at once a minute", "error", err)
		return rc.watchClock(ctx)
	}
	defer timer.Close()
	for {
		next := rc.snapshot().NextChange(rc.now())
		if err := timer.Set(next); err != nil {
			rc.log.Warn("clock is looked at once a minute", "error", err)
			return rc.watchClock(ctx)
		}
		if !next.IsZero() && !next.After(rc.now()) {
			rc.timeChanged(ctx) // the clock was set between
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rc.timed:
		case come := <-timer.C:
			if come || rc.snapshot().WaitsForTime() {
				rc.timeChanged(ctx)
			}
		}
	}
}

// watchClock does what clockLoop does, once a minute.
func (rc *Reconciler) watchClock(ctx context.Context) error {
	ticker := time.NewTicker(clockPause)
	defer ticker.Stop()
	for last := rc.now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// By the wall clock alone: the other one stands still in a suspend.
		now := rc.now().Round(0)
		next := rc.snapshot().NextChange(last)
		stepped := now.Sub(last) < 0 || now.Sub(last) > 2*clockPause
		if !next.IsZero() && !next.After(now) || stepped && rc.snapshot().WaitsForTime() {
			rc.timeChanged(ctx)
		}
		last = now
	}
}

func (rc *Reconciler) timeChanged(ctx context.Context) {
	if err := rc.keys.refreshKeys(ctx, true); err != nil {
		rc.log.Warn("keyring not refreshed", "error", err)
	}
	rc.wantSync("time has come for a key or a signature")
}
