// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

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
	src := keySources{rpm: map[string]bool{}}
	if db == nil {
		src.dir, _ = d.locateDB()
	} else {
		src.dir, src.kind = db.Dir(), db.Kind()
		certs, bad, err := db.Certs(ctx)
		if err != nil {
			return fmt.Errorf("cannot read keyring: %w", err)
		}
		for _, c := range certs {
			src.rpm[c.Fingerprint] = true
		}
		src.certs, src.errs = certs, bad
		// A package that only poses as a key leaves no key unread.
		src.complete = !slices.ContainsFunc(bad, func(err error) bool { return !errors.Is(err, rpmdb.ErrNoKey) })
	}
	certs, errs := rpmdb.CertsDir(d.config.Keys)
	src.certs, src.errs = append(src.certs, certs...), append(src.errs, errs...)
	src.importers, errs = certificatesIn(d.config.Keys)
	src.errs = append(src.errs, errs...)
	src.revoked, errs = readRevoked(d.config.Revoked, d.snapshot().Certificates)
	src.errs = append(src.errs, errs...)
	src.revoked = slices.DeleteFunc(src.revoked, func(r revokedKey) bool {
		err := d.revocable(ctx, r.fingerprint)
		if err != nil {
			src.errs = append(src.errs, fmt.Errorf("%s is not heeded yet: %w", r.file, err))
		}
		return err != nil
	})
	carried := d.carryBlacklist(ctx)
	if src.blacklist, err = d.blacklist(); err != nil {
		src.errs = append(src.errs, err)
	}

	var named *view.Banned
	err = d.exec.decide(ctx, "keys", func(s *state) error {
		s.tellOfBlobs(carried)
		s.adoptKeys(&src)
		named = s.banned
		s.show()
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
