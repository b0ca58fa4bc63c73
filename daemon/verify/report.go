// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// report tells of units in their order, and beats in between.
func (e *engine) report(ctx context.Context, tell func(Message) error) error {
	ticker := time.NewTicker(beatTime)
	defer ticker.Stop()
	for u := range e.units {
		for waiting := true; waiting; {
			select {
			case <-u.done:
				waiting = false
			case <-ticker.C:
				beat := &Beat{Searching: e.searching.Load(), Files: int(e.files.Load()), Dirs: int(e.dirs.Load())}
				if err := tell(Message{Beat: beat}); err != nil {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return nil // parts of it were passed over
		}
		e.settle(u)
		if err := tell(Message{Unit: &u.Unit}); err != nil {
			return err
		}
	}
	return nil
}

// settle takes back what was found of a list that left meanwhile: a package
// transaction overtook us.
func (e *engine) settle(u *unit) {
	if u.entry == nil || u.entry.State != active || u.stamp == (stamp{}) {
		return
	}
	if len(u.Findings)+u.Dropped.Dropped > 0 && !e.index.unchanged(*u.entry, u.stamp) {
		u.Findings, u.Dropped, u.Moved = nil, api.Verification{}, true
	}
}
