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

// syncLoop carries out wanted reconciliations.
func (rc *Reconciler) syncLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case reason := <-rc.sync:
			if _, err := rc.runSync(ctx, reason, func(string, int, int) {}); err != nil && ctx.Err() == nil {
				rc.log.Error("sync failed", "reason", reason, "error", err)
			}
			rc.tell()
		}
	}
}

// soon bounds how long the end of a transaction waits for a comparison: a package
// manager waits for that.
const soon = 5 * time.Second

// syncSoon reconciles and returns when that is done, or takes too long; then it
// is done later.
func (rc *Reconciler) syncSoon(ctx context.Context, reason string) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	synced := make(chan error, 1)
	go func() {
		_, err := rc.runSync(ctx, reason, func(string, int, int) {})
		synced <- err
	}()
	select {
	case err := <-synced:
		if err == nil {
			return
		}
	case <-ctx.Done():
	}
	rc.wantSync(reason)
}

// runSync reconciles, once no transaction is in flight.
func (rc *Reconciler) runSync(ctx context.Context, reason string, report progress) (api.SyncResult, error) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, overtakenLimit)
	defer cancel()
	rc.enroller.reachSigner(ctx)
	defer rc.enroller.followSigner(ctx)
	defer rc.enroller.tellOfEnrolment(ctx)
	again := func() { rc.wantSync("the last comparison failed") }
	for try := 0; ; {
		stamp := rc.databaseStamp()
		result, err := rc.reconcile(ctx, report)
		if errors.Is(err, ledger.ErrAgain) && try < mostTries {
			try++
			continue
		}
		if errors.Is(err, errOvertaken) {
			report(stageWaiting, 0, 0)
			select {
			case <-rc.ended:
				continue
			case <-ctx.Done():
				return result, fmt.Errorf("cannot sync: %w", err)
			}
		}
		// Compared or not: what only this look at the database stirred up is no change.
		rc.synced.Store(&stamp)
		if err != nil {
			rc.exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
				s.Problem("sync", "error", "lists could not be compared with rpm's database: "+err.Error(), rc.syncAdvice(err))
				s.Show()
				return nil
			})
			if ctx.Err() == nil {
				rc.resync.again(again)
			}
			return result, err
		}
		if result.Failed > 0 {
			rc.resync.again(again)
		} else {
			rc.resync.reset()
		}
		rc.compared(reason == reasonAsked || reason == reasonFix)
		rc.log.Info("lists in step with rpm's database", "reason", reason, "installed", result.Installed,
			"published", result.Published, "withdrawn", result.Withdrawn, "withheld", result.Withheld,
			"quarantined", result.Quarantined, "failed", result.Failed, "duration", result.Duration)
		return result, nil
	}
}

// syncAdvice says what can be done about a failed reconciliation.
func (rc *Reconciler) syncAdvice(err error) string {
	if errors.Is(err, rpmdb.ErrBerkeleyDB) {
		return rpmdb.BerkeleyAdvice(rc.config.Root)
	}
	return "mend the cause: digestd tries again by itself; or at once: digestctl sync"
}

// databaseChanged is called when something happened to rpm's database, with or
// without a hook, be it only that somebody read it.
func (rc *Reconciler) databaseChanged() {
	if rc.snapshot().Open > 0 {
		return // its end looks again
	}
	if synced := rc.synced.Load(); synced == nil || *synced != rc.databaseStamp() {
		rc.wantSync("rpm's database changed")
	}
}

// transactionEnded wakes a reconciliation that waited, and looks for changes
// that no hook told of.
func (rc *Reconciler) transactionEnded() {
	select {
	case rc.ended <- struct{}{}:
	default:
	}
	rc.lookAgain()
	rc.tell()
}

// checkDirectory looks at the list directory after something happened in it: to
// these names, or to all if names is nil.
func (rc *Reconciler) checkDirectory(ctx context.Context, names map[string]bool) {
	anew := false
	x := rc.exec
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
		rc.log.Error("list directory not checked", "error", err)
	}
	if anew {
		rc.wantSync("lists were removed or altered")
	}
}
