// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
)

// retry calls again for what could not be done, with pauses that grow from first
// to last, until it reports that nothing is left. It begins when wake says so;
// a failure while it waits does not make it hurry.
func retry(ctx context.Context, wake <-chan struct{}, first, last time.Duration, again func(context.Context) (left bool)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		for rest, left := first, true; left; rest = min(2*rest, last) {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rest):
			}
			left = again(ctx)
		}
	}
}

// The pauses between attempts to do what the state still has to do: small things,
// tried often.
const (
	firstChore = time.Second
	lastChore  = time.Minute
)

// choreLoop carries out what the state could not do at once.
func (rc *Reconciler) choreLoop(ctx context.Context) error {
	return retry(ctx, rc.chores, firstChore, lastChore, func(ctx context.Context) bool {
		written, left := rc.doChores(ctx)
		if written {
			// What could not be recorded may have kept lists from being changed.
			rc.wantSync("the index can be written again")
		}
		agreed := rc.guard.agreeWithGuard(ctx)
		return left || !agreed
	})
}

// doChores tries once more to do what could not be done, and reports whether the index
// can be written again, and whether something is left.
func (rc *Reconciler) doChores(ctx context.Context) (written, left bool) {
	x := rc.exec
	var all executor.Done
	err := x.Do(ctx, func() error {
		failed := x.State.Unwritten
		err := x.SettleIndex()
		if err == nil && failed {
			_, err = x.Step("probe", true, (*ledger.Ledger).Probe)
		}
		more, cerr := x.Step("chores", false, func(s *ledger.Ledger) error {
			known := s.NextSeq
			s.RetryLeftovers()
			left = s.SumUp()
			if s.NextSeq > known || len(s.Leftovers) > 0 {
				s.Record()
			}
			s.Show()
			return nil
		})
		all = more
		written = failed && !x.State.Unwritten
		left = left || err != nil || cerr != nil || x.State.Unwritten || len(x.State.Leftovers) > 0
		return nil
	})
	x.Follow(all)
	return written, left && err == nil
}

// checkState looks after the state directory when something happened in it, and
// reports whether the index lies there.
func (rc *Reconciler) checkState(ctx context.Context) (settled bool) {
	rc.exec.Do(ctx, func() error {
		known := len(rc.exec.State.Problems)
		settled = rc.exec.SettleIndex() == nil
		if len(rc.exec.State.Problems) != known {
			rc.exec.State.Show()
		}
		rc.exec.Rest()
		return nil
	})
	return settled
}
