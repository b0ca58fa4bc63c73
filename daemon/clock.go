// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"time"

	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
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
		next := d.snapshot().nextChange(d.now())
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
			if come || d.snapshot().waitsForTime() {
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
		next := d.snapshot().nextChange(last)
		stepped := now.Sub(last) < 0 || now.Sub(last) > 2*clockPause
		if !next.IsZero() && !next.After(now) || stepped && d.snapshot().waitsForTime() {
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

// nextChange is when time changes a judgement next, zero for never.
func (s *snapshot) nextChange(now time.Time) (next time.Time) {
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, e := range s.entries {
		switch {
		case e.State == record.Withheld:
			consider(e.From)
		case e.active() && e.Signature != nil:
			consider(e.Signature.Ends)
		}
	}
	if !s.noExpired {
		return next
	}
	for _, c := range s.keyring.Certs() {
		consider(c.Expires)
		for _, sub := range c.Subkeys {
			consider(sub.Expires)
		}
	}
	return next
}

// waitsForTime reports whether a package has no list, or may lose it, because of the
// time.
func (s *snapshot) waitsForTime() bool {
	for _, e := range s.entries {
		reason := policy.Reason(e.Reason)
		if e.State == record.Withheld && (reason == policy.ReasonKeyExpired || reason == policy.ReasonNotYetValid) {
			return true
		}
	}
	return !s.nextChange(time.Time{}).IsZero()
}
