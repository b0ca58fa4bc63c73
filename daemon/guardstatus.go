// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"

	"github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/manage"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/record"
)

// manageGuard prepares what answers for the guard.
func (d *Daemon) manageGuard() *manage.Manager {
	return manage.New(manage.Setup{Wanted: d.Config.Guard, Socket: guard.DefaultSocket, Lists: d, Files: d.Root, Look: d.Query.LookAt, Record: d.recordGuard})
}

// recordGuard records what somebody did with the guard. It has happened: where the index
// cannot be written to now, a later commit carries it.
func (d *Daemon) recordGuard(ctx context.Context, e record.Event) {
	err := d.Exec.Enter(ctx, "guard", func(s *ledger.Ledger) error {
		s.Event(e)
		s.Record()
		return nil
	})
	if err != nil {
		d.Logger.Error("decision about the guard not recorded yet", "kind", e.Kind, "uid", e.UID, "error", err)
	}
}
