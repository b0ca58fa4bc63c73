// SPDX-License-Identifier: Apache-2.0

package host

import (
	"time"
)

// Pause is a timer that fires after the last event of a burst. It does not exist while
// nothing happens, so an idle daemon sleeps. The zero Pause waits for nothing.
type Pause struct{ timer *time.Timer }

// Start begins the pause, or begins it anew: it ends after d.
func (p *Pause) Start(d time.Duration) {
	if p.timer == nil {
		p.timer = time.NewTimer(d)
		return
	}
	p.timer.Reset(d)
}

// Begun reports whether the pause has begun and its end was not taken.
func (p *Pause) Begun() bool { return p.timer != nil }

// C tells once of the end of the pause. It is nil, which tells of nothing, where none has begun.
func (p *Pause) C() <-chan time.Time {
	if p.timer == nil {
		return nil
	}
	return p.timer.C
}

// Ended has to be called after a receive from C.
func (p *Pause) Ended() { p.timer = nil }
