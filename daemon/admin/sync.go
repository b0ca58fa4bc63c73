// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/reconcile"
)

// Sync brings the lists in step with rpm's database.
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

// RollbackGrant permits one version, once.
func (ad *Admin) RollbackGrant(ctx context.Context, by api.Actor, pkg, reason string) (api.Grant, error) {
	return ad.grant(ctx, by, pkg, reason)
}

// RollbackRevoke takes back a grant that was not used.
func (ad *Admin) RollbackRevoke(ctx context.Context, by api.Actor, pkg string) error {
	return ad.revokeGrant(ctx, by, pkg)
}

// FloorSet sets the version below which nothing of a package may be active.
func (ad *Admin) FloorSet(ctx context.Context, by api.Actor, pkg, evr, reason string) error {
	return ad.setFloor(ctx, by, pkg, evr, reason)
}

// FloorClear removes the floor of a package.
func (ad *Admin) FloorClear(ctx context.Context, by api.Actor, pkg, reason string) error {
	return ad.clearFloor(ctx, by, pkg, reason)
}
