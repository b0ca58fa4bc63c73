// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/export"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
)

// Header answers with the name of the package's list, published, or with why there is none. The
// package manager gets an answer in any case: a package without a list, not a stalled
// transaction.
func (s *Session) Header(ctx context.Context, m *wire.Header) error {
	reply := &wire.List{Element: m.Element, Decision: wire.NoList}
	restore := m.Type == wire.Restored
	a, e, err := s.publish(ctx, m, restore)
	switch {
	case err != nil:
		s.log.Error("list not published", "element", m.Element, "error", err)
		reply.Notes = []wire.Note{{Level: wire.LevelWarning, Text: "digestd: " + err.Error()}}
		s.broken, s.Txn.Unlisted = err, true
	case e != nil:
		reply.Decision, reply.Name = wire.ListNamed, e.Name
	case a == nil:
	case a.Decision.Verdict == policy.Veto:
		reply.Decision = wire.RefuseList
		reply.Notes = []wire.Note{{Level: wire.LevelError, Text: "digestd: " + a.Decision.Text}}
	case a.Decision.Reason == policy.ReasonNoFiles:
	case a.Decision.Verdict == policy.WithholdList:
		s.nolist, s.Txn.Unlisted = append(s.nolist, a.Decision.Text), true
	default:
		reply.Decision, reply.Name = wire.ListNamed, a.Name
		if n := len(a.Omitted.Paths); n > 0 {
			reply.Notes = []wire.Note{{Level: wire.LevelWarning, Text: "digestd: " + a.Omitted.Text(a.Pkg.String())}}
		}
	}
	if reply.Decision == wire.ListNamed && s.Config.IMASignatures && !s.Txn.DBOnly && s.signing < export.SignBudget {
		// A list that could not be signed now is signed at the end of the transaction.
		if h, err := header.ParseImmutable(m.Region); err == nil {
			began := time.Now()
			if reply.Signatures, err = s.Exporter.SignaturesFor(ctx, h, reply.Name, export.SignBudget-s.signing); err != nil {
				s.log.Warn("files not signed", "element", m.Element, "error", err)
			}
			s.signing += time.Since(began)
		}
	}
	return s.Conn.Write(reply, frameDeadline)
}

// publish verifies a header and publishes its list. It returns the addition, or
// the entry that was active for that header before.
func (s *Session) publish(ctx context.Context, msg *wire.Header, restore bool) (*state.Addition, *view.Entry, error) {
	h, err := header.ParseImmutable(msg.Region)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read header: %w", err)
	}
	if name, err := h.String(header.TagName); err == nil && name == policy.KeyName {
		return nil, nil, nil
	}
	var active *view.Entry
	known := func(c *view.Candidate) (more bool, err error) {
		e := s.Snapshot().List(c.Name)
		if !restore && !s.seen[c.Header] && (e == nil || e.Header != c.Header) {
			return true, nil // which needs no turn
		}
		err = s.Enter(ctx, "consider", func(st *ledger.Ledger) error {
			var d policy.Decision
			active, d = st.Consider(s.Txn, msg.Element, c, restore)
			more = active == nil && !restore && d.Verdict != policy.Veto
			return nil
		})
		return more, err
	}
	make := func() (*view.Candidate, error) {
		snap := s.Snapshot()
		m, now := s.Builder.Load(), s.Now() // after the snapshot, so that its basis is never newer than m
		s.work.Denials = snap.Denials
		c, err := m.Make(h, msg.Signatures, snap.Keyring, now, &s.work, known)
		if c != nil {
			c.Basis = snap.Basis
		}
		return c, err
	}
	c, err := make()
	if err == nil && c.Vouch.Reason == policy.ReasonUnknownKey && !s.reload {
		// The key may have been imported a moment ago.
		s.reload = true
		if err := s.Keys.Refresh(ctx, true); err != nil {
			return nil, nil, err
		}
		c, err = make()
	}
	if err != nil || active != nil || restore {
		return nil, active, err
	}
	var a *state.Addition
	for try := 0; ; try++ {
		err = s.Enter(ctx, "add", func(st *ledger.Ledger) (err error) {
			a, err = st.Add(s.Txn, msg.Element, c)
			return err
		})
		if err != nil {
			s.Dir.Discard(c.Staged)
		}
		if !errors.Is(err, ledger.ErrAgain) || try == host.MostTries {
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

// Removed withdraws the list of an erased package. Files that it shares with
// others are bound to another list first, so that none is ever without.
func (s *Session) Removed(ctx context.Context, m *wire.Removed) error {
	if m.Digest == ([32]byte{}) {
		return nil
	}
	var gone *view.Entry
	err := s.Enter(ctx, "removing", func(st *ledger.Ledger) error {
		if gone = st.Remove(s.Txn, m.Element, m.Digest); gone != nil {
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
		s.Labels.Rebind(gone)
	}
	return s.Enter(ctx, "remove", func(st *ledger.Ledger) error {
		st.RemoveNow(s.Txn, gone)
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
