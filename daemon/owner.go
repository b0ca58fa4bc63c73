// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
)

// errStopping means that the daemon no longer takes work.
var errStopping = errors.New("digestd is stopping")

// owner runs work on the state, one piece at a time, in the order it arrives.
type owner struct {
	state *state
	work  chan func(*state)
	done  chan struct{}
}

func newOwner(s *state) *owner {
	return &owner{state: s, work: make(chan func(*state)), done: make(chan struct{})}
}

// run is the goroutine that owns the state.
func (o *owner) run(ctx context.Context) {
	defer close(o.done)
	for {
		select {
		case fn := <-o.work:
			fn(o.state)
		case <-ctx.Done():
			return
		}
	}
}

// do runs fn on the state and returns when it has ended. fn must not wait for
// anything but the disk.
func (o *owner) do(ctx context.Context, fn func(*state)) error {
	finished := make(chan struct{})
	select {
	case o.work <- func(s *state) { defer close(finished); fn(s) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-o.done:
		return errStopping
	}
	// Work that was taken runs to its end: giving up on it here would leave the
	// caller not knowing what became of it.
	select {
	case <-finished:
		return nil
	case <-o.done:
		return errStopping
	}
}
