// SPDX-License-Identifier: Apache-2.0

// Package keysource reads who vouches for packages and what is revoked: rpm's keyring,
// directories of certificates, of revocations and of blacklist entries, and the kernel's
// .blacklist. The ledger is told of all of it in one event; see [Source.Refresh].
package keysource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/deny"
	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/rpmdb"
)

// Source reads the stores of trusted keys and of revocations.
type Source struct {
	*host.Host
	Enroller  *enrol.Enroller
	Denier    *deny.Denier
	Blacklist func() (state.Blacklisted, error) // the kernel's
	mu        sync.Mutex
	stamp     keyStamp // of the keyring in use; guarded by mu
	banned    []string // by the kernel's .blacklist, as denials; guarded by mu
}

// keyStamp tells whether the keyring may have changed.
type keyStamp struct {
	db            rpmdb.Stamp
	keys, revoked time.Time
	blobs         time.Time
}

// Refresh reads the trusted certificates and the revocations again, if their stores changed
// or always is set, and carries out the consequences.
func (ks *Source) Refresh(ctx context.Context, always bool) error {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	var stamp keyStamp
	db, err := ks.Database()
	if err == nil {
		stamp.db, err = db.Stamp()
	}
	if err != nil && !errors.Is(err, rpmdb.ErrNoDatabase) {
		return fmt.Errorf("cannot read keyring: %w", err)
	}
	keys, revoked, blobs := lookAt(ks.Config.Keys), lookAt(ks.Config.Revoked), lookAt(ks.Config.Blacklist)
	stamp.keys, stamp.revoked, stamp.blobs = keys.modified, revoked.modified, blobs.modified
	if !always && stamp == ks.stamp {
		return nil
	}
	src, carried, err := ks.read(ctx, db, keys, revoked, blobs)
	if err != nil {
		return err
	}
	var named *view.Banned
	err = ks.Exec.Decide(ctx, "keys", func(s *ledger.Ledger) error {
		s.TellOfBlobs(carried)
		s.AdoptKeys(&src)
		named = s.Banned
		s.Show()
		return nil
	})
	if err == nil {
		err = ks.denyBlacklisted(ctx, named)
	}
	left := ks.Enroller.RemoveRevoked(ctx)
	if err == nil {
		ks.stamp = stamp
		select {
		case ks.Timed <- struct{}{}:
		default:
		}
	}
	if signer := ks.Builder.Load().Identity.SKI(); err == nil && ks.Snapshot().Keys[signer].Revoked != nil {
		ks.Enroller.ReplaceRevoked(ctx, signer)
	}
	if len(left.Rings) > 0 || left.Boot {
		ks.Enroller.EnrolReplacement(ctx, left)
	}
	return err
}

// read reads the stores that are there. It also passes the signed entries for .blacklist to
// the kernel, before it reads that.
func (ks *Source) read(ctx context.Context, db host.Database, keys, revoked, blobs place) (src grounds.KeySources, carried grounds.Delivery, err error) {
	src.RPM = map[string]bool{}
	if db == nil {
		src.Dir, _ = ks.LocateDB()
	} else {
		src.Dir, src.Kind = db.Dir(), db.Kind()
		certs, bad, err := db.Certs(ctx)
		if err != nil {
			return src, carried, fmt.Errorf("cannot read keyring: %w", err)
		}
		for _, c := range certs {
			src.RPM[c.Fingerprint] = true
		}
		src.Certs, src.Errs = certs, bad
		// A package that only poses as a key leaves no key unread.
		src.Complete = !slices.ContainsFunc(bad, func(err error) bool { return !errors.Is(err, rpmdb.ErrNoKey) })
	}
	if !keys.absent {
		certs, errs := rpmdb.CertsDir(ks.Config.Keys)
		src.Certs, src.Errs = append(src.Certs, certs...), append(src.Errs, errs...)
		src.Importers, errs = CertificatesIn(ks.Config.Keys)
		src.Errs = append(src.Errs, errs...)
	}
	if !revoked.absent {
		found, errs := ReadRevoked(ks.Config.Revoked, ks.Snapshot().Certificates)
		src.Revoked, src.Errs = found, append(src.Errs, errs...)
	}
	src.Revoked = slices.DeleteFunc(src.Revoked, func(r grounds.RevokedKey) bool {
		err := ks.Enroller.Revocable(ctx, r.Fingerprint)
		if err != nil {
			src.Errs = append(src.Errs, fmt.Errorf("cannot carry out the revocation in %s yet: %w", r.File, err))
		}
		return err != nil
	})
	if !blobs.absent {
		carried = ks.carryBlacklist(ctx)
	}
	var unread error
	if src.Blacklist, unread = ks.Blacklist(); unread != nil {
		src.Errs = append(src.Errs, unread)
	}
	return src, carried, nil
}

// place is what a look at a directory shows.
type place struct {
	modified time.Time // when files came or went last; zero if that cannot be told
	absent   bool      // there is no such directory; to create it changes modified
}

func lookAt(dir string) place {
	info, err := os.Stat(dir)
	if err != nil {
		return place{absent: errors.Is(err, fs.ErrNotExist)}
	}
	return place{modified: info.ModTime()}
}

// Modified returns the time of the latest change of a path, for a directory that of its
// entries; zero if it does not exist.
func Modified(path string) time.Time { return lookAt(path).modified }
