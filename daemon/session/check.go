// SPDX-License-Identifier: Apache-2.0

package session

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
func (s *Session) examine(ctx context.Context, m *wire.Header) error {
	reply := &wire.List{Element: m.Element, Decision: wire.NoList}
	c, err := s.candidate(ctx, m)
	if err == nil && c != nil {
		err = s.Enter(ctx, "examine", func(st *ledger.Ledger) error {
			d := st.Foresee(s.Txn, c)
			if s.Txn.Assured {
				d = d.Keep()
			}
			if d.Verdict != policy.Veto {
				return nil
			}
			reply.Decision = wire.RefuseList
			reply.Notes = []wire.Note{{Level: wire.LevelError, Text: "digestd: " + d.Text}}
			if !s.Txn.Check {
				return nil
			}
			st.Refused(s.Txn, c.Pkg, d)
			st.Record()
			return nil
		})
	}
	if err != nil {
		s.log.Warn("header not examined", "element", m.Element, "error", err)
	}
	return s.Conn.Write(reply, frameDeadline)
}

// candidate verifies a header, by keys that may have been imported a moment ago.
func (s *Session) candidate(ctx context.Context, m *wire.Header) (*view.Candidate, error) {
	h, err := header.ParseImmutable(m.Region)
	if err != nil {
		return nil, fmt.Errorf("cannot read header: %w", err)
	}
	if pkg, err := h.NEVRA(); err == nil && pkg.Name == policy.KeyName {
		return nil, nil
	}
	c, err := s.Builder.Load().Examine(h, m.Signatures, s.Snapshot().Keyring, s.Now())
	if err == nil && c.Vouch.Reason == policy.ReasonUnknownKey && !s.reload {
		s.reload = true
		if err := s.Keys.Refresh(ctx, true); err != nil {
			return nil, err
		}
		c, err = s.Builder.Load().Examine(h, m.Signatures, s.Snapshot().Keyring, s.Now())
	}
	return c, err
}
