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
func (d *Daemon) clockLoop(ctx context.Context) error {
	timer, err := kernel.NewWallTimer()
	if err != nil {
		d.log.Warn("clock is looked at once a minute", "error", err)
		return d.watchClock(ctx)
	}
	defer timer.Close()
	for {
		next := d.snapshot().NextChange(d.now())
		if err := timer.Set(next); err != nil {
			d.log.Warn("clock is looked at once a minute", "error", err)
			return d.watchClock(ctx)
		}
		if !next.IsZero() && !next.After(d.now()) {
			d.timeChanged(ctx) // the clock was set between
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.timed:
		case come := <-timer.C:
			if come || d.snapshot().WaitsForTime() {
				d.timeChanged(ctx)
			}
		}
	}
}

// watchClock does what clockLoop does, once a minute.
func (d *Daemon) watchClock(ctx context.Context) error {
	ticker := time.NewTicker(clockPause)
	defer ticker.Stop()
	for last := d.now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		// By the wall clock alone: the other one stands still in a suspend.
		now := d.now().Round(0)
		next := d.snapshot().NextChange(last)
		stepped := now.Sub(last) < 0 || now.Sub(last) > 2*clockPause
		if !next.IsZero() && !next.After(now) || stepped && d.snapshot().WaitsForTime() {
			d.timeChanged(ctx)
		}
		last = now
	}
}

func (d *Daemon) timeChanged(ctx context.Context) {
	if err := d.refreshKeys(ctx, true); err != nil {
		d.log.Warn("keyring not refreshed", "error", err)
	}
	d.wantSync("time has come for a key or a signature")
}
