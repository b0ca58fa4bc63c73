// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/rpmdb"
)

// overtakenLimit bounds how long a reconciliation waits for transactions to end.
const overtakenLimit = time.Hour

// stageWaiting is what a reconciliation reports while a transaction is in flight.
const stageWaiting = "waiting for a package transaction"

// Reasons of comparisons for which a person waits: what they find is put right
// whether it changed since the last or not.
const (
	reasonAsked = "asked for"
	reasonFix   = "fix"
)

// wantSync asks for a reconciliation soon; a second wish before it began is the
// same one.
func (d *Daemon) wantSync(reason string) {
	select {
	case d.sync <- reason:
	default:
	}
}

// syncLoop carries out wanted reconciliations.
func (d *Daemon) syncLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case reason := <-d.sync:
			if _, err := d.runSync(ctx, reason, func(string, int, int) {}); err != nil && ctx.Err() == nil {
				d.log.Error("sync failed", "reason", reason, "error", err)
			}
			d.notify(d.statusLine())
		}
	}
}

// soon bounds how long the end of a transaction waits for a comparison: a package
// manager waits for that.
const soon = 5 * time.Second

// syncSoon reconciles and returns when that is done, or takes too long; then it
// is done later.
func (d *Daemon) syncSoon(ctx context.Context, reason string) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	synced := make(chan error, 1)
	go func() {
		_, err := d.runSync(ctx, reason, func(string, int, int) {})
		synced <- err
	}()
	select {
	case err := <-synced:
		if err == nil {
			return
		}
	case <-ctx.Done():
	}
	d.wantSync(reason)
}

// runSync reconciles, once no transaction is in flight.
func (d *Daemon) runSync(ctx context.Context, reason string, report progress) (api.SyncResult, error) {
	d.syncMutex.Lock()
	defer d.syncMutex.Unlock()
	ctx, cancel := context.WithTimeout(ctx, overtakenLimit)
	defer cancel()
	d.reachSigner(ctx)
	defer d.followSigner(ctx)
	defer d.tellOfEnrolment(ctx)
	again := func() { d.wantSync("the last comparison failed") }
	for try := 0; ; {
		stamp := d.databaseStamp()
		result, err := d.reconcile(ctx, report)
		if errors.Is(err, ledger.ErrAgain) && try < mostTries {
			try++
			continue
		}
		if errors.Is(err, errOvertaken) {
			report(stageWaiting, 0, 0)
			select {
			case <-d.ended:
				continue
			case <-ctx.Done():
				return result, fmt.Errorf("cannot sync: %w", err)
			}
		}
		// Compared or not: what only this look at the database stirred up is no change.
		d.synced.Store(&stamp)
		if err != nil {
			d.exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
				s.Problem("sync", "error", "lists could not be compared with rpm's database: "+err.Error(), d.syncAdvice(err))
				s.Show()
				return nil
			})
			if ctx.Err() == nil {
				d.resync.again(again)
			}
			return result, err
		}
		if result.Failed > 0 {
			d.resync.again(again)
		} else {
			d.resync.reset()
		}
		d.filesToSign(reason == reasonAsked || reason == reasonFix)
		d.log.Info("lists in step with rpm's database", "reason", reason, "installed", result.Installed,
			"published", result.Published, "withdrawn", result.Withdrawn, "withheld", result.Withheld,
			"quarantined", result.Quarantined, "failed", result.Failed, "duration", result.Duration)
		return result, nil
	}
}

// syncAdvice says what can be done about a failed reconciliation.
func (d *Daemon) syncAdvice(err error) string {
	if errors.Is(err, rpmdb.ErrBerkeleyDB) {
		return rpmdb.BerkeleyAdvice(d.config.Root)
	}
	return "mend the cause: digestd tries again by itself; or at once: digestctl sync"
}

func (d *Daemon) databaseStamp() (stamp rpmdb.Stamp) {
	if db, err := d.database(); err == nil {
		stamp, _ = db.Stamp()
	}
	return stamp
}

// databaseChanged is called when something happened to rpm's database, with or
// without a hook, be it only that somebody read it.
func (d *Daemon) databaseChanged() {
	if d.snapshot().Open > 0 {
		return // its end looks again
	}
	if synced := d.synced.Load(); synced == nil || *synced != d.databaseStamp() {
		d.wantSync("rpm's database changed")
	}
}

// transactionEnded wakes a reconciliation that waited, and looks for changes
// that no hook told of.
func (d *Daemon) transactionEnded() {
	select {
	case d.ended <- struct{}{}:
	default:
	}
	d.lookAgain()
	d.notify(d.statusLine())
}

// checkDirectory looks at the list directory after something happened in it: to
// these names, or to all if names is nil.
func (d *Daemon) checkDirectory(ctx context.Context, names map[string]bool) {
	anew := false
	x := d.exec
	var all executor.Done
	err := x.Do(ctx, func() error {
		more, err := x.Inspect(names)
		all.Add(more)
		if err == nil && names == nil {
			_, more, err = x.Strangers()
			all.Add(more)
		}
		more, rerr := x.Step("inspected", false, func(s *ledger.Ledger) error {
			anew, s.Anew = s.Anew, false
			if len(s.Open) == 0 {
				s.Record()
			}
			return nil
		})
		all.Add(more)
		return errors.Join(err, rerr)
	})
	x.Follow(all)
	if err != nil && ctx.Err() == nil {
		d.log.Error("list directory not checked", "error", err)
	}
	if anew {
		d.wantSync("lists were removed or altered")
	}
}
