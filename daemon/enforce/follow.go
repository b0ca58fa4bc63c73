// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/ledger"
)

// The pauses between attempts to reach a guard that is away: it is back within seconds when
// it is upgraded, and a package that comes before it is known runs nothing.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Follow notices when digestd-guard ends. As soon as it is back, Follow sends it the lists
// that it does not know. It returns when ctx ends.
func (g *Guard) Follow(ctx context.Context) error {
	if g == nil {
		return nil
	}
	pause := firstPause
	for {
		if c, err := protocol.Dial(ctx, g.Socket); err == nil {
			if g.Agree(ctx) {
				pause = firstPause
			}
			g.PoliciesChanged() // the guard may be another one
			g.watch(ctx, c)
			c.Close()
			if ctx.Err() != nil {
				return nil // what is committed from now on is told, too
			}
			g.Lost(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// Lost records that the guard has ended. This does not contradict what was sent to it
// before.
func (g *Guard) Lost(ctx context.Context) {
	g.Exec.Do(ctx, func() error {
		g.Agreed = false
		g.Close()
		return nil
	})
}

// watch tells of what changes about the guard by itself, or by others than digestd, until the
// connection ends. A snapshot says whether the guard enforced.
func (g *Guard) watch(ctx context.Context, c *protocol.Client) {
	for state := uint64(0); ; {
		var err error
		if state, err = c.Watch(ctx, state); err != nil {
			return
		}
		is, err := c.Status(ctx)
		if err != nil {
			return
		}
		g.Exec.Do(ctx, func() error {
			if !g.Agreed {
				return nil // Agree tells of it
			}
			g.is = is
			g.Exec.Step("note", false, func(s *ledger.Ledger) error {
				tellOf(s, is)
				s.Show()
				return nil
			})
			executor.Wake(g.committed)
			return nil
		})
	}
}
