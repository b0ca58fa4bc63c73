// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"errors"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
)

// Reconcile brings lists and index in line with what is installed, durably, in one
// commit. First what must go, then what comes: a crash in between leaves too
// little trusted, never too much.
func (x *Executor) Reconcile(own []*ledger.OwnWork, found []state.InstalledPackage, started time.Time) (r *ledger.Reconciled, all Done, err error) {
	r = &ledger.Reconciled{}
	// The lists of the owner are recorded, and the mark goes, before the first list of a
	// package comes: of these nothing is on the disk before the end.
	all, err = x.Step("own", false, func(s *ledger.Ledger) error {
		s.Solved("directory")
		s.ApplyOwn(own, r)
		return nil
	})
	if errors.As(err, new(notBegun)) {
		return r, all, err
	}
	more, failed := x.Step("sync", false, func(s *ledger.Ledger) error {
		s.Apply(found, r)
		return nil
	})
	all.Add(more)
	if failed = errors.Join(err, failed); errors.As(failed, new(notBegun)) {
		return r, all, failed
	}
	aside, more, err := x.Strangers()
	failed = errors.Join(failed, err)
	all.Add(more)
	r.Quarantined = aside
	more, err = x.Step("sync", false, func(s *ledger.Ledger) error {
		s.Settled(found, r, failed)
		return nil
	})
	all.Add(more)
	err = errors.Join(failed, err)
	x.Hold()
	x.Step("synced", false, func(s *ledger.Ledger) error {
		if err == nil {
			s.Solved("sync")
		}
		r.Failed += r.OwnFailed
		r.Duration = time.Since(started)
		s.LastSync = api.LastSync{When: s.Now(), SyncResult: r.SyncResult}
		s.Show()
		return nil
	})
	return r, all, err
}
