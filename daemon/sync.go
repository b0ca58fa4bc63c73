// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store"
)

// overtakenLimit bounds how long a reconciliation waits for transactions to end.
const overtakenLimit = time.Hour

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

// runSync reconciles, once no transaction is in flight.
func (d *Daemon) runSync(ctx context.Context, reason string, report progress) (api.SyncResult, error) {
	d.syncMutex.Lock()
	defer d.syncMutex.Unlock()
	ctx, cancel := context.WithTimeout(ctx, overtakenLimit)
	defer cancel()
	for {
		stamp := d.databaseStamp()
		result, err := d.reconcile(ctx, report)
		if errors.Is(err, errOvertaken) {
			report("waiting for a package transaction", 0, 0)
			select {
			case <-d.ended:
				continue
			case <-ctx.Done():
				return result, fmt.Errorf("cannot sync: %w", err)
			}
		}
		if err != nil {
			d.onState(ctx, func(s *state) error {
				s.problem("sync", "error", "lists could not be compared with rpm's database: "+err.Error(), "mend the cause, then: digestctl sync")
				s.publish()
				return nil
			})
			return result, err
		}
		if result.Failed == 0 {
			d.synced.Store(&stamp)
		}
		d.log.Info("lists in step with rpm's database", "reason", reason, "installed", result.Installed,
			"published", result.Published, "withdrawn", result.Withdrawn, "withheld", result.Withheld,
			"quarantined", result.Quarantined, "failed", result.Failed, "duration", result.Duration)
		return result, nil
	}
}

func (d *Daemon) databaseStamp() (stamp rpmdb.Stamp) {
	if dir, err := d.locateDB(); err == nil {
		if db, err := rpmdb.Open(dir); err == nil {
			stamp, _ = db.Stamp()
		}
	}
	return stamp
}

// databaseChanged is called when something happened to rpm's database, with or
// without a hook, be it only that somebody read it.
func (d *Daemon) databaseChanged() {
	if d.snapshot().open > 0 {
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
	d.notify(d.statusLine())
}

// checkDirectory looks at the list directory after something happened in it.
func (d *Daemon) checkDirectory(ctx context.Context) {
	anew := false
	err := d.onState(ctx, func(s *state) error {
		err := s.inspect()
		if err == nil {
			_, err = s.foreign()
		}
		anew = s.anew
		s.anew = false
		if !s.batch.Empty() && len(s.open) == 0 {
			err = errors.Join(err, s.commit())
		}
		s.tellAll()
		return err
	})
	if err != nil && ctx.Err() == nil {
		d.log.Error("list directory not checked", "error", err)
	}
	if anew {
		d.wantSync("lists were removed or altered")
	}
}

// keyStamp tells whether the keyring may have changed.
type keyStamp struct {
	db   rpmdb.Stamp
	keys time.Time
}

// refreshKeys reads the trusted certificates anew, if their stores changed or
// always is set.
func (d *Daemon) refreshKeys(ctx context.Context, always bool) error {
	d.keyMutex.Lock()
	defer d.keyMutex.Unlock()
	var stamp keyStamp
	var db *rpmdb.DB
	dir, err := d.locateDB()
	if err == nil {
		if db, err = rpmdb.Open(dir); err == nil {
			stamp.db, err = db.Stamp()
		}
	}
	if err != nil && !errors.Is(err, rpmdb.ErrNoDatabase) {
		return fmt.Errorf("cannot read keyring: %w", err)
	}
	if info, err := os.Stat(d.config.Keys); err == nil {
		stamp.keys = info.ModTime()
	}
	if !always && stamp == d.keyStamp {
		return nil
	}
	certs, errs := rpmdb.CertsDir(d.config.Keys)
	if db != nil {
		more, bad, err := rpmdb.Certs(ctx, db)
		if err != nil {
			return fmt.Errorf("cannot read keyring: %w", err)
		}
		errs, certs = append(errs, bad...), append(certs, more...)
	}
	ring := pgp.NewKeyring(certs...)
	err = d.onState(ctx, func(s *state) error {
		s.keyring = ring
		s.dbPath, s.dbKind = dir, ""
		if db != nil {
			s.dbKind = db.Kind()
		}
		s.solved("keys")
		for _, err := range errs {
			s.problem("keys", "warning", err.Error(), "remove or replace the certificate")
		}
		now := s.now()
		for _, c := range ring.Certs() {
			if _, known := s.keys[c.Fingerprint]; !known {
				s.setKey(store.Key{Fingerprint: c.Fingerprint, Owner: c.UserID, Algorithm: c.Algorithm, Source: c.Source, FirstSeen: now})
			}
		}
		for fpr, k := range s.keys {
			if trusted := ring.Lookup(fpr) != nil; trusted != k.Gone.IsZero() {
				k.Gone = time.Time{}
				if !trusted {
					k.Gone = now
				}
				s.setKey(k)
			}
		}
		s.publish()
		return nil
	})
	if err == nil {
		d.keyStamp = stamp
	}
	return err
}
