// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/reconcile"
)

// Sync compares the lists with rpm's database, and returns the result. It calls report for
// each stage.
func (ad *Admin) Sync(ctx context.Context, by api.Actor, report func(stage string, done, total int)) (api.SyncResult, error) {
	ad.Logger.Info("sync asked for", "uid", by.UID, "pid", by.PID)
	result, err := ad.reconciler.Run(ctx, reconcile.ReasonAsked, report)
	if err == nil {
		err = ad.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
			s.Solved(grounds.ProblemIndexLost)
			s.Show()
			return nil
		})
	}
	return result, err
}
