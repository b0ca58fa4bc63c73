// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
)

// examine answers whether the package of a transaction that is only asked about
// would be refused, by its header. It publishes nothing; what else could be said
// of the package is said when it is installed.
func (s *session) examine(ctx context.Context, m *wire.Header) error {
	reply := &wire.List{Element: m.Element, Decision: wire.NoList}
	c, err := s.candidate(ctx, m)
	if err == nil && c != nil {
		err = s.enter(ctx, "examine", func(st *ledger.Ledger) error {
			d := st.Foresee(s.txn, c)
			if s.txn.Assured {
				d = d.Keep()
			}
			if d.Verdict != policy.Veto {
				return nil
			}
			reply.Decision = wire.RefuseList
			reply.Notes = []wire.Note{{Level: wire.LevelError, Text: "digestd: " + d.Text}}
			if !s.txn.Check {
				return nil
			}
			st.Refused(s.txn, c.Pkg, d)
			st.Record()
			return nil
		})
	}
	if err != nil {
		s.log.Warn("header not examined", "element", m.Element, "error", err)
	}
	return s.conn.Write(reply, frameDeadline)
}

// candidate verifies a header, by keys that may have been imported a moment ago.
func (s *session) candidate(ctx context.Context, m *wire.Header) (*view.Candidate, error) {
	h, err := header.ParseImmutable(m.Region)
	if err != nil {
		return nil, fmt.Errorf("cannot read header: %w", err)
	}
	if pkg, err := h.NEVRA(); err == nil && pkg.Name == gpgPubkey {
		return nil, nil
	}
	c, err := s.maker.Load().examine(h, m.Signatures, s.snapshot().Keyring, s.now())
	if err == nil && c.Vouch.Reason == policy.ReasonUnknownKey && !s.reload {
		s.reload = true
		if err := s.keys.refreshKeys(ctx, true); err != nil {
			return nil, err
		}
		c, err = s.maker.Load().examine(h, m.Signatures, s.snapshot().Keyring, s.now())
	}
	return c, err
}
