// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/rpmdb"
)

// keyStamp tells whether the keyring may have changed.
type keyStamp struct {
	db            rpmdb.Stamp
	keys, revoked time.Time
	blobs         time.Time
}

// refreshKeys reads the trusted certificates and the revocations anew, if their
// stores changed or always is set, and carries out what follows from them.
func (d *Daemon) refreshKeys(ctx context.Context, always bool) error {
	d.keyMutex.Lock()
	defer d.keyMutex.Unlock()
	var stamp keyStamp
	db, err := d.database()
	if err == nil {
		stamp.db, err = db.Stamp()
	}
	if err != nil && !errors.Is(err, rpmdb.ErrNoDatabase) {
		return fmt.Errorf("cannot read keyring: %w", err)
	}
	stamp.keys, stamp.revoked, stamp.blobs = modified(d.config.Keys), modified(d.config.Revoked), modified(d.config.Blacklist)
	if !always && stamp == d.keyStamp {
		return nil
	}
	src := grounds.KeySources{RPM: map[string]bool{}}
	if db == nil {
		src.Dir, _ = d.locateDB()
	} else {
		src.Dir, src.Kind = db.Dir(), db.Kind()
		certs, bad, err := db.Certs(ctx)
		if err != nil {
			return fmt.Errorf("cannot read keyring: %w", err)
		}
		for _, c := range certs {
			src.RPM[c.Fingerprint] = true
		}
		src.Certs, src.Errs = certs, bad
		// A package that only poses as a key leaves no key unread.
		src.Complete = !slices.ContainsFunc(bad, func(err error) bool { return !errors.Is(err, rpmdb.ErrNoKey) })
	}
	certs, errs := rpmdb.CertsDir(d.config.Keys)
	src.Certs, src.Errs = append(src.Certs, certs...), append(src.Errs, errs...)
	src.Importers, errs = certificatesIn(d.config.Keys)
	src.Errs = append(src.Errs, errs...)
	src.Revoked, errs = readRevoked(d.config.Revoked, d.snapshot().Certificates)
	src.Errs = append(src.Errs, errs...)
	src.Revoked = slices.DeleteFunc(src.Revoked, func(r grounds.RevokedKey) bool {
		err := d.revocable(ctx, r.Fingerprint)
		if err != nil {
			src.Errs = append(src.Errs, fmt.Errorf("%s is not heeded yet: %w", r.File, err))
		}
		return err != nil
	})
	carried := d.carryBlacklist(ctx)
	if src.Blacklist, err = d.blacklist(); err != nil {
		src.Errs = append(src.Errs, err)
	}

	var named *view.Banned
	err = d.exec.Decide(ctx, "keys", func(s *ledger.Ledger) error {
		s.TellOfBlobs(carried)
		s.AdoptKeys(&src)
		named = s.Banned
		s.Show()
		return nil
	})
	if err == nil {
		err = d.denyBlacklisted(ctx, named)
	}
	left := d.leaveKernel(ctx)
	if err == nil {
		d.keyStamp = stamp
		select {
		case d.timed <- struct{}{}:
		default:
		}
	}
	if signer := d.maker.Load().identity.skid(); err == nil && d.snapshot().Keys[signer].Revoked != nil {
		d.replaceRevoked(ctx, signer)
	}
	if len(left.rings) > 0 || left.boot {
		d.enrolReplacement(ctx, left)
	}
	return err
}

func modified(path string) (t time.Time) {
	if info, err := os.Stat(path); err == nil {
		t = info.ModTime()
	}
	return t
}
