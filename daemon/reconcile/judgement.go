// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/store/record"
)

// verifyAgain verifies the headers of lists anew that were verified by other rules: by another
// release of digestd. It also does so while a transaction is in flight, for that may be the one
// which brings this release. It leaves headers that it cannot read from rpm's database to the
// comparison.
func (rc *Reconciler) verifyAgain(ctx context.Context) error {
	for range host.MostTries {
		var basis uint64
		doubtful := map[record.Digest]*view.Entry{}
		err := rc.Exec.Enter(ctx, "judge", func(s *ledger.Ledger) error {
			basis = s.Basis
			for _, e := range s.Sorted() {
				if _, proven := s.Judge(e); e.Active() && !proven {
					doubtful[e.Header] = e
				}
			}
			return nil
		})
		if err != nil || len(doubtful) == 0 {
			return err
		}
		found, err := rc.readAgain(ctx, doubtful)
		if err != nil {
			return err
		}
		err = rc.Exec.Enter(ctx, "judge", func(s *ledger.Ledger) error {
			if s.Basis != basis {
				return ledger.ErrAgain
			}
			s.AdoptAgain(found)
			return nil
		})
		if !errors.Is(err, ledger.ErrAgain) {
			return err
		}
	}
	return ledger.ErrAgain
}

// TrustChanged reads the keys and revocations anew, and has the lists compared. Lists that no
// trusted key vouches for leave at once: a comparison may have to wait for a transaction. An
// error was logged, and that comparison reads them again.
func (rc *Reconciler) TrustChanged(ctx context.Context, reason string) error {
	err := rc.Keys.Refresh(ctx, true)
	if err != nil && ctx.Err() == nil {
		rc.Logger.Warn("keyring not refreshed", "error", err)
	}
	rc.WantSync(reason)
	return err
}

// readAgain verifies the headers of these lists, as rpm's database has them.
func (rc *Reconciler) readAgain(ctx context.Context, doubtful map[record.Digest]*view.Entry) (found []grounds.Again, err error) {
	db, err := rc.Database()
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	snap := rc.Snapshot()
	m, w := rc.Builder.Load(), build.Workspace{Denials: snap.Denials}
	err = db.Headers(ctx, func(_ uint32, blob []byte) error {
		h, err := header.Parse(blob)
		if err != nil {
			return nil // the reconciliation names it
		}
		digest, err := h.Digest()
		e := doubtful[digest]
		if err != nil || e == nil {
			return nil
		}
		// A clock that was set back refuses nothing that was active once.
		c, err := m.Examine(h, h.Signatures(), snap.Keyring, later(rc.Now(), e.Since))
		if err == nil {
			err = m.Compose(c, h, &w)
		}
		if err != nil {
			rc.Logger.Warn("package not verified again", "package", e.Package.String(), "error", err)
			return nil
		}
		found = append(found, grounds.Again{Entry: e, Candidate: c})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read rpm's database: %w", err)
	}
	return found, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
