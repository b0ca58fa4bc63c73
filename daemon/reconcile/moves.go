// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// finishMoves binds files to the new names of lists, and takes the old ones away.
func (rc *Reconciler) finishMoves(ctx context.Context) error {
	snap := rc.Snapshot()
	var moved []*view.Entry
	for _, e := range snap.Entries {
		if e.Change == record.Moving {
			moved = append(moved, e)
		}
	}
	if len(moved) == 0 {
		return nil
	}
	if rc.Config.Labels {
		for _, e := range moved {
			if next := snap.List(e.Next); next != nil && next.Active() {
				rc.Labels.Bind(next, func(label string) bool { return label == e.Name })
			}
			failpoint.Hit("moved", "between-labels")
		}
	}
	return rc.Exec.Enter(ctx, "moved", func(s *ledger.Ledger) error {
		for _, e := range moved {
			if s.ByName[e.Name] == e {
				s.Plan.Withdraw = append(s.Plan.Withdraw, state.Withdrawal{Name: e.Name})
				s.Forget(e.Name)
				s.Queue.Batch.DeleteList(e.Name)
			}
		}
		s.Sync()
		s.Record()
		return nil
	})
}
