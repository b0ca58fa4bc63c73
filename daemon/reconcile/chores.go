// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
)

// ChoreLoop carries out what the state could not do at once.
func (rc *Reconciler) ChoreLoop(ctx context.Context) error {
	return host.Retry(ctx, rc.Chores, host.FirstChore, host.LastChore, func(ctx context.Context) bool {
		written, left := rc.doChores(ctx)
		if written {
			// Records that could not be written may have delayed changes of lists.
			rc.WantSync("the index can be written again")
		}
		agreed := rc.Guard.Agree(ctx)
		return left || !agreed
	})
}

// doChores tries once more to do what could not be done, and reports whether the index
// can be written again, and whether something is left.
func (rc *Reconciler) doChores(ctx context.Context) (written, left bool) {
	x := rc.Exec
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

// settleState looks after the state directory when something happened in it, and
// reports whether the index lies there.
func (rc *Reconciler) settleState(ctx context.Context) (settled bool) {
	rc.Exec.Do(ctx, func() error {
		known := len(rc.Exec.State.Problems)
		settled = rc.Exec.SettleIndex() == nil
		if len(rc.Exec.State.Problems) != known {
			rc.Exec.State.Show()
		}
		rc.Exec.Rest()
		return nil
	})
	return settled
}
