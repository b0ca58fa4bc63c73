// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"time"
)

const (
	// A reconciliation that failed is tried again after these times.
	firstSyncRetry = 5 * time.Second
	lastSyncRetry  = 10 * time.Minute
)

// backoff does something again, ever more rarely.
type backoff struct {
	wait  time.Duration
	timer *time.Timer
}

// again has fn called later; one call waits at a time.
func (b *backoff) again(fn func()) {
	if b.timer != nil {
		b.timer.Stop()
	}
	b.wait = min(max(2*b.wait, firstSyncRetry), lastSyncRetry)
	b.timer = time.AfterFunc(b.wait, fn)
}

// reset ends the waiting: the next failure is the first again.
func (b *backoff) reset() {
	if b.timer != nil {
		b.timer.Stop()
	}
	b.wait, b.timer = 0, nil
}
