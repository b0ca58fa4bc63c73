// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
)

// header answers with the name of the package's list, published, or with why
// there is none. Whatever goes wrong, the package manager gets an answer: a
// package without a list, not a stalled transaction.
func (s *session) header(ctx context.Context, m *wire.Header) error {
	reply := &wire.List{Element: m.Element, Decision: wire.NoList}
	restore := m.Type == wire.Restored
	a, e, err := s.publish(ctx, m, restore)
	switch {
	case err != nil:
		s.log.Error("list not published", "element", m.Element, "error", err)
		reply.Notes = []wire.Note{{Level: wire.LevelWarning, Text: "digestd: " + err.Error()}}
		s.broken, s.txn.Unlisted = err, true
	case e != nil:
		reply.Decision, reply.Name = wire.ListNamed, e.Name
	case a == nil:
	case a.Decision.Verdict == policy.Veto:
		reply.Decision = wire.RefuseList
		reply.Notes = []wire.Note{{Level: wire.LevelError, Text: "digestd: " + a.Decision.Text}}
	case a.Decision.Reason == policy.ReasonNoFiles:
	case a.Decision.Verdict == policy.WithholdList:
		s.nolist, s.txn.Unlisted = append(s.nolist, a.Decision.Text), true
	default:
		reply.Decision, reply.Name = wire.ListNamed, a.Name
		if n := len(a.Omitted.Paths); n > 0 {
			reply.Notes = []wire.Note{{Level: wire.LevelWarning, Text: "digestd: " + a.Omitted.Text(a.Pkg.String())}}
		}
	}
	if reply.Decision == wire.ListNamed && s.config.IMASignatures && !s.txn.DBOnly && s.signing < signBudget {
		// What could not be signed now is when the transaction is over.
		if h, err := header.ParseImmutable(m.Region); err == nil {
			began := time.Now()
			if reply.Signatures, err = s.exporter.signaturesFor(ctx, h, reply.Name, signBudget-s.signing); err != nil {
				s.log.Warn("files not signed", "element", m.Element, "error", err)
			}
			s.signing += time.Since(began)
		}
	}
	return s.conn.Write(reply, frameDeadline)
}

// publish verifies a header and publishes its list. It returns the addition, or
// the entry that was active for that header before.
func (s *session) publish(ctx context.Context, msg *wire.Header, restore bool) (*state.Addition, *view.Entry, error) {
	h, err := header.ParseImmutable(msg.Region)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read header: %w", err)
	}
	if pkg, err := h.NEVRA(); err == nil && pkg.Name == gpgPubkey {
		return nil, nil, nil
	}
	var active *view.Entry
	known := func(c *view.Candidate) (more bool, err error) {
		e := s.snapshot().List(c.Name)
		if !restore && !s.seen[c.Header] && (e == nil || e.Header != c.Header) {
			return true, nil // which needs no turn
		}
		err = s.enter(ctx, "consider", func(st *ledger.Ledger) error {
			var d policy.Decision
			active, d = st.Consider(s.txn, msg.Element, c, restore)
			more = active == nil && !restore && d.Verdict != policy.Veto
			return nil
		})
		return more, err
	}
	make := func() (*view.Candidate, error) {
		snap := s.snapshot()
		m, now := s.maker.Load(), s.now() // after the snapshot, so that its basis is never newer than m
		s.work.denials = snap.Denials
		c, err := m.make(h, msg.Signatures, snap.Keyring, now, &s.work, known)
		if c != nil {
			c.Basis = snap.Basis
		}
		return c, err
	}
	c, err := make()
	if err == nil && c.Vouch.Reason == policy.ReasonUnknownKey && !s.reload {
		// The key may have been imported a moment ago.
		s.reload = true
		if err := s.keys.refreshKeys(ctx, true); err != nil {
			return nil, nil, err
		}
		c, err = make()
	}
	if err != nil || active != nil || restore {
		return nil, active, err
	}
	var a *state.Addition
	for try := 0; ; try++ {
		err = s.enter(ctx, "add", func(st *ledger.Ledger) (err error) {
			a, err = st.Add(s.txn, msg.Element, c)
			return err
		})
		if err != nil {
			s.dir.Discard(c.Staged)
		}
		if !errors.Is(err, ledger.ErrAgain) || try == mostTries {
			break
		}
		if c, err = make(); err != nil || active != nil {
			return nil, active, err
		}
	}
	if err != nil {
		return nil, nil, err
	}
	s.seen[c.Header] = true
	return a, nil, nil
}

// removed withdraws the list of an erased package. Files that it shares with
// others are bound to another list first, so that none is ever without.
func (s *session) removed(ctx context.Context, m *wire.Removed) error {
	if m.Digest == ([32]byte{}) {
		return nil
	}
	var gone *view.Entry
	err := s.enter(ctx, "removing", func(st *ledger.Ledger) error {
		if gone = st.Remove(s.txn, m.Element, m.Digest); gone != nil {
			st.Show()
		} else if st.ByHeader[m.Digest] == nil {
			// The index may not know its list yet.
			st.WithdrawUnknown()
		}
		return nil
	})
	if err != nil && gone == nil && !errors.Is(err, executor.ErrStopping) {
		s.log.Error("list not withdrawn", "error", err) // which is left to the comparison
		s.broken, err = err, nil
	}
	if err != nil || gone == nil {
		return err
	}
	if gone.Active() {
		s.labels.rebind(gone)
	}
	return s.enter(ctx, "remove", func(st *ledger.Ledger) error {
		st.RemoveNow(s.txn, gone)
		return nil
	})
}

// summary keeps what the administrator is told short: the first few packages
// without a list, and how many more there are.
func summary(nolist []string) (notes []wire.Note) {
	const few = 3
	for i, text := range nolist {
		if i == few {
			notes = append(notes, wire.Note{Level: wire.LevelWarning,
				Text: fmt.Sprintf("digestd: and %d more packages without a list; see: digestctl list withheld", len(nolist)-few)})
			break
		}
		notes = append(notes, wire.Note{Level: wire.LevelWarning, Text: "digestd: " + text})
	}
	return notes
}
