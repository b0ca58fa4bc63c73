// SPDX-License-Identifier: Apache-2.0

package daemon

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
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// errOvertaken means that a transaction began while rpm's database was read:
// what was read may be about to change.
var errOvertaken = errors.New("a package transaction is in flight")

// progress hears how far a reconciliation is. Calls come from one goroutine at
// a time, at most some hundred a second.
type progress func(stage string, done, total int)

// reconcile makes the directory equal to what rpm's database and the index
// allow. It reads without holding up anybody and changes everything in one
// step, unless a transaction came in between.
func (rc *Reconciler) reconcile(ctx context.Context, report progress) (api.SyncResult, error) {
	started := time.Now()
	first := len(rc.snapshot().Entries) == 0 // nothing names a list yet
	if err := rc.dir.CheckPath(); err != nil {
		return api.SyncResult{}, err
	}
	if err := rc.keys.refreshKeys(ctx, true); err != nil {
		return api.SyncResult{}, err
	}
	if err := rc.verifyAgain(ctx); err != nil {
		return api.SyncResult{}, err
	}
	var (
		generation uint64
		basis      uint64
		standing   map[record.Digest]*view.Entry
		denials    *policy.Denials
		own        []*ledger.OwnWork
	)
	x := rc.exec
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
		if err == nil {
			more, err = x.Inspect(nil)
			all.Add(more)
		}
		if err != nil {
			return err
		}
		x.Hold()
		more, err = x.Step("blacklist", true, func(s *ledger.Ledger) error {
			for _, entry := range s.HeedBlacklist() { // a start knows the files of lists only now
				s.CarryOut(entry)
			}
			return nil
		})
		all.Add(more)
		return err
	})
	x.Follow(all)
	rc.guard.agreeWithGuard(ctx)
	if err == nil {
		_, err = rc.denier.enforceDenials(ctx)
	}
	if err == nil {
		err = x.Do(ctx, func() error {
			if len(x.State.Open) > 0 {
				return errOvertaken
			}
			var kept error
			if x.State.Prefetch {
				kept = x.Dir.SetPrefetch(true)
			}
			all, err = x.Step("gather", false, func(s *ledger.Ledger) error {
				generation, basis, denials = s.Generation, s.Basis, s.Denials
				standing = s.Standing(rc.maker.Load().signer())
				s.PrefetchKept(kept)
				own = s.OwnToMake(rc.maker.Load().ownSigner())
				return nil
			})
			return err
		})
		x.Follow(all)
	}
	if err != nil {
		return api.SyncResult{}, err
	}
	found, err := rc.readInstalled(ctx, standing, denials, report)
	if err != nil {
		return api.SyncResult{}, err
	}
	rc.remakeOwn(ctx, own)
	defer func() {
		for _, w := range own {
			rc.dir.Discard(w.Made.Staged)
		}
		for _, f := range found {
			if f.Fresh != nil {
				rc.dir.Discard(f.Fresh.Staged) // those that were not published
			}
		}
		rc.memory.rest()
	}()
	result := &ledger.Reconciled{}
	all = executor.Done{}
	err = x.Do(ctx, func() (err error) {
		if len(x.State.Open) > 0 || x.State.Generation != generation {
			return errOvertaken
		}
		if x.State.Basis != basis {
			return ledger.ErrAgain
		}
		report("publishing", 0, len(found))
		result, all, err = x.Reconcile(own, found, started)
		return err
	})
	err = errors.Join(err, rc.finishMoves(ctx))
	x.Follow(all)
	if !first {
		rc.labels.relabelStale(result.Fresh)
	}
	rc.labels.retryLabels(ctx)
	return result.SyncResult, err
}

// readInstalled reads every header of rpm's database. Headers that stand are
// recognised by their digest; the others are verified, and their lists built,
// on all processors.
func (rc *Reconciler) readInstalled(ctx context.Context, standing map[record.Digest]*view.Entry, denials *policy.Denials, report progress) ([]state.InstalledPackage, error) {
	db, err := rc.database()
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
	maker, keyring, now := rc.maker.Load(), rc.snapshot().Keyring, rc.now()
	for n := range runtime.GOMAXPROCS(0) {
		w := workspace{denials: denials, stager: rc.dir.Stager("sync" + strconv.FormatUint(rc.serial.Add(1), 36) + "-" + strconv.Itoa(n))}
		group.Go(func() {
			for stored := range headers {
				p := maker.recognise(stored.blob, standing, keyring, now, &w)
				if p.Pkg.Name == "" {
					p.Number = stored.hnum
					if nameless.Add(1) <= maxNameless {
						p.Pkg.Name = db.NameOf(ctx, stored.hnum)
					}
				}
				mu.Lock()
				if p.Pkg.Name != gpgPubkey {
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
		for _, p := range found {
			if p.Fresh != nil {
				rc.dir.Discard(p.Fresh.Staged)
			}
		}
		return nil, fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return found, nil
}

// recognise turns one header of rpm's database into what is to be done for it.
// The header is hostile input; one that is malformed costs its package the list.
func (m *maker) recognise(blob []byte, standing map[record.Digest]*view.Entry, keyring *pgp.Keyring, now time.Time, w *workspace) (p state.InstalledPackage) {
	if len(blob) == 0 {
		p.Err = errors.New("its header in rpm's database is damaged, empty or larger than any of rpm's")
		return p
	}
	h, err := header.Parse(blob)
	if err == nil {
		p.Pkg, err = h.NEVRA()
	}
	if err != nil {
		p.Pkg, p.Err = nevra.NEVRA{}, fmt.Errorf("cannot read its header in rpm's database: %w", err)
		return p
	}
	if p.Pkg.Name == gpgPubkey {
		return p
	}
	digest, err := h.Digest()
	if err != nil {
		p.Err = err
		return p
	}
	p.Header = digest
	if p.Moved, err = h.Relocations(); err != nil {
		p.Err = err
		return p
	}
	if e := standing[p.Header]; e != nil && m.suits(e, h) {
		return p
	}
	c, err := m.examine(h, h.Signatures(), keyring, now)
	if err == nil {
		err = m.build(c, h, w)
	}
	if err != nil {
		p.Err = err
		return p
	}
	p.Fresh = c
	return p
}

// suits reports whether e is the kind of list that m makes.
func (m *maker) suits(e *view.Entry, h *header.Header) bool {
	name, err := m.nameOf(e.Package, h.MultiVersion())
	return err == nil && name == e.Name
}
