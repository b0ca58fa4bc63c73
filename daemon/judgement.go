// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// A judgement must not outlive its grounds. An entry keeps what has to be known of the
// signature that vouches for it, and by which rules that was verified. Whether it still
// vouches is asked anew, by the keys and settings of now, wherever it matters: nothing
// is remembered that a restart could forget.

// mostTries is how often something is made again because what it was made by has
// changed meanwhile.
const mostTries = 8

// verifierRules names the rules by which this digestd verifies. Each release has its
// own: what another release has verified is verified again.
func verifierRules() string { return fmt.Sprint(pgp.Rules, " ", api.Version) }

// verifyAgain verifies the headers of lists anew that were verified by other rules: by
// another release of digestd. It also does so while a transaction is in flight, for
// that may be the one which brings this release. What cannot be read of rpm's database
// is left to the reconciliation.
func (rc *Reconciler) verifyAgain(ctx context.Context) error {
	for range mostTries {
		var basis uint64
		doubtful := map[record.Digest]*view.Entry{}
		err := rc.exec.Enter(ctx, "judge", func(s *ledger.Ledger) error {
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
		err = rc.exec.Enter(ctx, "judge", func(s *ledger.Ledger) error {
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

// readAgain verifies the headers of these lists, as rpm's database has them.
func (rc *Reconciler) readAgain(ctx context.Context, doubtful map[record.Digest]*view.Entry) (found []grounds.Again, err error) {
	db, err := rc.database()
	if errors.Is(err, rpmdb.ErrNoDatabase) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	snap := rc.snapshot()
	m, w := rc.maker.Load(), workspace{denials: snap.Denials}
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
		c, err := m.examine(h, h.Signatures(), snap.Keyring, later(rc.now(), e.Since))
		if err == nil {
			err = m.compose(c, h, &w)
		}
		if err != nil {
			rc.log.Warn("package not verified again", "package", e.Package.String(), "error", err)
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
