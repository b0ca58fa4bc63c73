// SPDX-License-Identifier: Apache-2.0

package host

import (
	"time"
)

// Pause is a timer that fires after the last event of a burst. It has no timer while nothing
// happens, so an idle daemon sleeps. The zero Pause is ready for use.
type Pause struct{ timer *time.Timer }

// Start begins the pause, or begins it again: it ends after d.
func (p *Pause) Start(d time.Duration) {
	if p.timer == nil {
		p.timer = time.NewTimer(d)
		return
	}
	p.timer.Reset(d)
}

// Begun reports whether a pause has begun whose end the caller has not received yet.
func (p *Pause) Begun() bool { return p.timer != nil }

// C returns the channel that reports the end of the pause, or nil if none has begun.
func (p *Pause) C() <-chan time.Time {
	if p.timer == nil {
		return nil
	}
	return p.timer.C
}

// Ended must be called after a receive from C.
func (p *Pause) Ended() { p.timer = nil }
