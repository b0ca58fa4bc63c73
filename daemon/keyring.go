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
func (ks *KeySource) refreshKeys(ctx context.Context, always bool) error {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	var stamp keyStamp
	db, err := ks.database()
	if err == nil {
		stamp.db, err = db.Stamp()
	}
	if err != nil && !errors.Is(err, rpmdb.ErrNoDatabase) {
		return fmt.Errorf("cannot read keyring: %w", err)
	}
	stamp.keys, stamp.revoked, stamp.blobs = modified(ks.config.Keys), modified(ks.config.Revoked), modified(ks.config.Blacklist)
	if !always && stamp == ks.stamp {
		return nil
	}
	src := grounds.KeySources{RPM: map[string]bool{}}
	if db == nil {
		src.Dir, _ = ks.locateDB()
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
	certs, errs := rpmdb.CertsDir(ks.config.Keys)
	src.Certs, src.Errs = append(src.Certs, certs...), append(src.Errs, errs...)
	src.Importers, errs = certificatesIn(ks.config.Keys)
	src.Errs = append(src.Errs, errs...)
	src.Revoked, errs = readRevoked(ks.config.Revoked, ks.snapshot().Certificates)
	src.Errs = append(src.Errs, errs...)
	src.Revoked = slices.DeleteFunc(src.Revoked, func(r grounds.RevokedKey) bool {
		err := ks.enroller.revocable(ctx, r.Fingerprint)
		if err != nil {
			src.Errs = append(src.Errs, fmt.Errorf("%s is not heeded yet: %w", r.File, err))
		}
		return err != nil
	})
	carried := ks.carryBlacklist(ctx)
	if src.Blacklist, err = ks.blacklist(); err != nil {
		src.Errs = append(src.Errs, err)
	}

	var named *view.Banned
	err = ks.exec.Decide(ctx, "keys", func(s *ledger.Ledger) error {
		s.TellOfBlobs(carried)
		s.AdoptKeys(&src)
		named = s.Banned
		s.Show()
		return nil
	})
	if err == nil {
		err = ks.denyBlacklisted(ctx, named)
	}
	left := ks.enroller.leaveKernel(ctx)
	if err == nil {
		ks.stamp = stamp
		select {
		case ks.timed <- struct{}{}:
		default:
		}
	}
	if signer := ks.maker.Load().identity.skid(); err == nil && ks.snapshot().Keys[signer].Revoked != nil {
		ks.enroller.replaceRevoked(ctx, signer)
	}
	if len(left.rings) > 0 || left.boot {
		ks.enroller.enrolReplacement(ctx, left)
	}
	return err
}

func modified(path string) (t time.Time) {
	if info, err := os.Stat(path); err == nil {
		t = info.ModTime()
	}
	return t
}
