// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/rpmdb"
)

// overtakenLimit bounds how long a reconciliation waits for transactions to end.
const overtakenLimit = time.Hour

// StageWaiting is what a reconciliation reports while a transaction is in flight.
const StageWaiting = "waiting for a package transaction"

// Reasons of comparisons for which a person waits: what they find is put right
// whether it changed since the last or not.
const (
	ReasonAsked = "asked for"
	ReasonFix   = "fix"
)

// SyncLoop carries out wanted reconciliations.
func (rc *Reconciler) SyncLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case reason := <-rc.Wanted:
			if _, err := rc.Run(ctx, reason, func(string, int, int) {}); err != nil && ctx.Err() == nil {
				rc.Logger.Error("sync failed", "reason", reason, "error", err)
			}
			rc.Tell()
		}
	}
}

// soon bounds how long the end of a transaction waits for a comparison: a package
// manager waits for that.
const soon = 5 * time.Second

// Soon reconciles and returns when that is done, or takes too long; then it
// is done later.
func (rc *Reconciler) Soon(ctx context.Context, reason string) {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	synced := make(chan error, 1)
	go func() {
		_, err := rc.Run(ctx, reason, func(string, int, int) {})
		synced <- err
	}()
	select {
	case err := <-synced:
		if err == nil {
			return
		}
	case <-ctx.Done():
	}
	rc.WantSync(reason)
}

// Run reconciles, once no transaction is in flight. If asked ends first, Run returns an error
// and the comparison is made later.
func (rc *Reconciler) Run(asked context.Context, reason string, report progress) (api.SyncResult, error) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if asked.Err() != nil { // while another comparison was made
		rc.WantSync(reason)
		return api.SyncResult{}, fmt.Errorf("cannot sync: %w", context.Cause(asked))
	}
	ctx, cancel := context.WithTimeout(asked, overtakenLimit)
	defer cancel()
	rc.Enroller.ReachSigner(ctx)
	defer rc.Enroller.FollowSigner(ctx)
	defer rc.Enroller.TellOfEnrolment(ctx)
	again := func() { rc.WantSync("the last comparison failed") }
	for try := 0; ; {
		stamp := rc.DatabaseStamp()
		result, err := rc.reconcile(ctx, report)
		if errors.Is(err, ledger.ErrAgain) && try < host.MostTries {
			try++
			continue
		}
		if errors.Is(err, errOvertaken) {
			report(StageWaiting, 0, 0)
			select {
			case <-rc.Ended:
				continue
			case <-ctx.Done():
				return result, fmt.Errorf("cannot sync: %w", err)
			}
		}
		// Compared or not: what only this look at the database stirred up is no change.
		rc.synced.Store(&stamp)
		if err != nil && asked.Err() != nil {
			// That says nothing about the database, and the next comparison may already be over.
			rc.WantSync(reason)
			return result, err
		}
		if err != nil {
			rc.Exec.Enter(asked, "note", func(s *ledger.Ledger) error {
				if s.ToldOf(err) {
					s.Solved("sync")
					return nil
				}
				s.Problem("sync", "error", "digestd could not compare the lists with rpm's database: "+err.Error(), rc.syncAdvice(err))
				s.Show()
				return nil
			})
			rc.resync.again(again)
			return result, err
		}
		if result.Failed > 0 {
			rc.resync.again(again)
		} else {
			rc.resync.reset()
		}
		rc.Compared(reason == ReasonAsked || reason == ReasonFix)
		rc.Logger.Info("lists in step with rpm's database", "reason", reason, "installed", result.Installed,
			"published", result.Published, "withdrawn", result.Withdrawn, "withheld", result.Withheld,
			"quarantined", result.Quarantined, "failed", result.Failed, "duration", result.Duration)
		return result, nil
	}
}

// syncAdvice says what can be done about a failed reconciliation.
func (rc *Reconciler) syncAdvice(err error) string {
	if errors.Is(err, rpmdb.ErrBerkeleyDB) {
		return rpmdb.BerkeleyAdvice(rc.Config.Root)
	}
	return cmp.Or(api.DiskAdvice(err), "fix the cause") + "; digestd retries automatically, or retry now: digestctl sync"
}

// databaseChanged is called when something happened to rpm's database, with or
// without a hook, be it only that somebody read it.
func (rc *Reconciler) databaseChanged() {
	if rc.Snapshot().Open > 0 {
		return // its end looks again
	}
	if synced := rc.synced.Load(); synced == nil || *synced != rc.DatabaseStamp() {
		rc.WantSync("rpm's database changed")
	}
}

// TransactionEnded wakes a reconciliation that waited, and looks for changes
// that no hook told of.
func (rc *Reconciler) TransactionEnded() {
	select {
	case rc.Ended <- struct{}{}:
	default:
	}
	rc.LookAgain()
	rc.Tell()
}

// CheckDirectory looks at the list directory after something happened in it: to
// these names, or to all if names is nil.
func (rc *Reconciler) CheckDirectory(ctx context.Context, names map[string]bool) {
	anew := false
	x := rc.Exec
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
		rc.Logger.Error("list directory not checked", "error", err)
	}
	if anew {
		rc.WantSync("lists were removed or altered")
	}
}

// readyLimit bounds how long a start waits for the first comparison with rpm's
// database before it says that digestd is ready: a boot waits for that.
const readyLimit = 30 * time.Second

// AwaitSync waits for the first comparison with rpm's database, but not for
// ever.
func (rc *Reconciler) AwaitSync(ctx context.Context, synced <-chan struct{}) {
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	select {
	case <-synced:
	case <-limit.C:
		rc.Logger.Warn("ready before the first sync has ended", "after", readyLimit)
	case <-ctx.Done():
	}
}
