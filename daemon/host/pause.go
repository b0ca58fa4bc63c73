// SPDX-License-Identifier: Apache-2.0

package host

import (
	"time"
)

// Pause is a timer that is set once and fires after the last event of a burst.
// It does not exist while nothing happens, so an idle daemon sleeps.
type Pause struct{ Timer *time.Timer }

func (p *Pause) Start(d time.Duration) {
	if p.Timer == nil {
		p.Timer = time.NewTimer(d)
		return
	}
	p.Timer.Reset(d)
}

func (p *Pause) C() <-chan time.Time {
	if p.Timer == nil {
		return nil
	}
	return p.Timer.C
}

func (p *Pause) Ended() { p.Timer = nil }
