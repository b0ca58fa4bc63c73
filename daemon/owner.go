// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
)

// errStopping means that the daemon no longer takes work.
var errStopping = errors.New("digestd is stopping")

// owner lets one piece of work at a time have the state, in the order it comes.
// Whoever brings work does it: to hand it to another goroutine costs a package
// manager that waits two wake-ups.
type owner struct {
	state *state
	turn  chan struct{} // holds one token while somebody has the state
	done  chan struct{} // closed when nobody gets it any more
}

func newOwner(s *state) *owner {
	return &owner{state: s, turn: make(chan struct{}, 1), done: make(chan struct{})}
}

// run waits until ctx ends, and then for the work under way.
func (o *owner) run(ctx context.Context) {
	<-ctx.Done()
	o.turn <- struct{}{}
	close(o.done)
}

// do runs fn on the state when its turn has come. fn must not wait for anything
// but the disk.
func (o *owner) do(ctx context.Context, fn func(*state)) error {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-o.done:
		return errStopping
	}
	defer func() { <-o.turn }()
	fn(o.state)
	return nil
}
