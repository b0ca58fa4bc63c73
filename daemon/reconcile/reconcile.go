// SPDX-License-Identifier: Apache-2.0

// Package reconcile compares the lists with rpm's database, and decides when that is due:
// after a start, a transaction that was cut short, a change on disk, a date that has come.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/deny"
	"github.com/digestd/digestd/daemon/enforce"
	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/image"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/label"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/policyfile"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store/record"
)

// Reconciler compares the lists with rpm's database, when that is due.
type Reconciler struct {
	*host.Host
	Labels   *label.Labels
	Denier   *deny.Denier
	Enroller *enrol.Enroller
	Keys     *keysource.Source
	Policies *policyfile.Source
	Guard    *enforce.Guard
	Rested   chan struct{} // a transaction ended, for the watcher
	course
	Compared func(anew bool) // is called after each comparison
	Tell     func()          // tells the service manager how the daemon is
}

// course is how comparisons went.
type course struct {
	synced atomic.Pointer[rpmdb.Stamp] // of the database at the last one
	mu     sync.Mutex                  // one at a time
	resync backoff                     // after one that failed; guarded by mu
}

// errOvertaken means that a transaction began while rpm's database was read:
// what was read may be about to change.
var errOvertaken = errors.New("a package transaction is in flight")

// progress hears how far a reconciliation is. Calls come from one goroutine at
// a time, at most some hundred a second.
type progress func(stage string, done, total int)

// premises are what a comparison starts from. If one of them changes before the comparison
// ends, the packages must be judged again.
type premises struct {
	generation uint64 // of transactions
	basis      uint64 // of keys, denials and settings
	standing   map[record.Digest]*view.Entry
	denials    *policy.Denials
	own        []*ledger.OwnWork // own lists to make
	image      *image.Lists      // lists of the image that the machine started from
}

// reconcile makes the directory equal to what rpm's database and the index
// allow. It reads without holding up anybody and changes everything in one
// step, unless a transaction came in between.
func (rc *Reconciler) reconcile(ctx context.Context, report progress) (api.SyncResult, error) {
	started := time.Now()
	first := len(rc.Snapshot().Entries) == 0 // nothing names a list yet
	if err := rc.prepare(ctx, report); err != nil {
		return api.SyncResult{}, err
	}
	from, err := rc.gather(ctx)
	if err != nil {
		return api.SyncResult{}, err
	}
	defer from.image.Close()
	found, err := rc.readInstalled(ctx, from, report)
	if err != nil {
		return api.SyncResult{}, err
	}
	rc.remakeOwn(ctx, from.own)
	defer rc.release(from.own, found)
	var all executor.Done
	result := &ledger.Reconciled{}
	x := rc.Exec
	err = x.Do(ctx, func() (err error) {
		if len(x.State.Open) > 0 || x.State.Generation != from.generation {
			return errOvertaken
		}
		if x.State.Basis != from.basis {
			return ledger.ErrAgain
		}
		first = first && !x.State.Unsettled // files may name a list that a lost transaction left
		report("publishing", 0, len(found))
		result, all, err = x.Reconcile(from.own, found, started)
		return err
	})
	err = errors.Join(err, rc.finishMoves(ctx))
	x.Follow(all)
	if !first {
		rc.Labels.BindStale(result.Fresh)
	}
	rc.Labels.Retry(ctx)
	if err == nil {
		err = rc.Policies.Refresh(ctx) // lists vouch for them now
	}
	return result.SyncResult, err
}

// prepare reads the keys, finds out what is in the directory, and carries out what became due
// since the last comparison. Even if a step fails, the guard learns of the withdrawn lists.
func (rc *Reconciler) prepare(ctx context.Context, report progress) error {
	if err := rc.Dir.CheckPath(); err != nil {
		return err
	}
	if err := rc.Keys.Refresh(ctx, true); err != nil {
		return err
	}
	if err := rc.verifyAgain(ctx); err != nil {
		return err
	}
	x := rc.Exec
	var all executor.Done
	err := x.Do(ctx, func() (err error) {
		if len(x.State.Open) > 0 {
			return errOvertaken
		}
		report("checking lists", 0, 0)
		more, err := x.Step("expire", true, func(s *ledger.Ledger) error {
			s.ExpireDenials()
			s.FinishOwn()
			return nil
		})
		all.Add(more)
		if x.Hooks.Enforcer != nil && x.State.Unsettled {
			x.Hooks.Enforcer.Doubt() // it may have been told of lists that the index does not know
		}
		if err == nil {
			more, err = x.Inspect(nil)
			all.Add(more)
		}
		if err != nil {
			return err
		}
		x.Hold()
		more, err = x.Step("blacklist", true, func(s *ledger.Ledger) error {
			for _, entry := range s.ApplyBlacklist() { // a start knows the files of lists only now
				s.CarryOut(entry)
			}
			return nil
		})
		all.Add(more)
		return err
	})
	x.Follow(all)
	rc.Guard.Agree(ctx)
	if err != nil {
		return err
	}
	_, err = rc.Denier.Enforce(ctx)
	return err
}

// gather reads what a comparison starts from.
func (rc *Reconciler) gather(ctx context.Context) (from premises, err error) {
	x := rc.Exec
	var all executor.Done
	err = x.Do(ctx, func() error {
		if len(x.State.Open) > 0 {
			return errOvertaken
		}
		var kept error
		if x.State.Prefetch {
			kept = x.Dir.SetPrefetch(true)
		}
		maker := rc.Builder.Load()
		lists := rc.imageLists(x.State)
		all, err = x.Step("gather", false, func(s *ledger.Ledger) error {
			from = premises{generation: s.Generation, basis: s.Basis, denials: s.Denials, image: lists,
				standing: s.Standing(append(lists.Signers(), maker.Signer())...), own: s.OwnToMake(maker.OwnSigner())}
			for _, c := range lists.Certificates() {
				s.MeetImporter(c) // so that it can be revoked
			}
			s.PrefetchKept(kept)
			return nil
		})
		return err
	})
	x.Follow(all)
	return from, err
}

// release removes the lists that were made and not published.
func (rc *Reconciler) release(own []*ledger.OwnWork, found []state.InstalledPackage) {
	for _, w := range own {
		rc.Dir.Discard(w.Made.Staged)
	}
	rc.discard(found)
	go rc.Memory.Rest() // which takes long: nobody is to wait for it
}

func (rc *Reconciler) discard(found []state.InstalledPackage) {
	for _, f := range found {
		if f.Fresh != nil {
			rc.Dir.Discard(f.Fresh.Staged)
		}
	}
}

// readInstalled reads every header of rpm's database. Headers that stand are
// recognised by their digest; the others are verified, and their lists built,
// on all processors.
func (rc *Reconciler) readInstalled(ctx context.Context, from premises, report progress) ([]state.InstalledPackage, error) {
	standing := from.standing
	db, err := rc.Database()
	if errors.Is(err, rpmdb.ErrNoDatabase) && len(standing) == 0 {
		return nil, nil // a root before its first package
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type stored struct {
		hnum uint32
		blob []byte
	}
	headers := make(chan stored, 4)
	spare := make(chan []byte, 8)
	var (
		mu    sync.Mutex
		found []state.InstalledPackage
		group sync.WaitGroup
		// nameless counts headers whose name only the database could tell, for a
		// price: no more than a few are ever named.
		nameless atomic.Int32
	)
	const maxNameless = 32
	maker, keyring, now := rc.Builder.Load(), rc.Snapshot().Keyring, rc.Now()
	for n := range runtime.GOMAXPROCS(0) {
		w := build.Workspace{Denials: from.denials, Image: from.image, Stager: rc.Dir.Stager("sync" + strconv.FormatUint(rc.Serial.Add(1), 36) + "-" + strconv.Itoa(n))}
		group.Go(func() {
			for stored := range headers {
				p := maker.Recognise(stored.blob, standing, keyring, now, &w)
				if p.Pkg.Name == "" {
					p.Number = stored.hnum
					if nameless.Add(1) <= maxNameless {
						p.Pkg.Name = db.NameOf(ctx, stored.hnum)
					}
				}
				mu.Lock()
				if p.Pkg.Name != policy.KeyName {
					found = append(found, p)
				}
				if len(found)%64 == 0 {
					report("verifying", len(found), 0)
				}
				mu.Unlock()
				select {
				case spare <- stored.blob:
				default:
				}
			}
		})
	}
	err = db.Headers(ctx, func(hnum uint32, blob []byte) error {
		var buf []byte
		select {
		case buf = <-spare:
		default:
		}
		select {
		case headers <- stored{hnum, append(buf[:0], blob...)}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(headers)
	group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		rc.discard(found)
		return nil, fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return found, nil
}
