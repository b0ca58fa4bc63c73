// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/daemon/session"
	"github.com/digestd/digestd/daemon/sim"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
)

func (s *simSession) hangUp() {
	if s.session != nil {
		s.session.Conn.Close()
		s.reply.Close()
		s.session = nil
	}
}

func (m *simMachine) Switch() { m.simSession, m.other = m.other, m.simSession }

func (m *simMachine) Within(fn func()) { m.staged.set(fn) }

// HandOver ends the process as if it were to be started again, and has the next one go on
// with the transaction. It does nothing that the package manager would notice.
func (m *simMachine) HandOver() error {
	stage := session.StageTransaction
	if m.session.Txn.Assured {
		stage = session.StageAssured
	}
	put, before := m.put, m.faults
	m.end()
	if err := m.Start(); err != nil {
		return err
	}
	m.faults.goOn(before)
	m.d.rooms.Sessions.CatchUp(m.ctx())
	if err := m.connect(); err != nil {
		return err
	}
	m.put = put
	m.session.GoOn(m.ctx(), stage)
	return m.after(nil)
}

// simWait is a comparison that waits for a transaction to end.
type simWait struct {
	cancel context.CancelFunc
	ended  chan error
}

func (m *simMachine) Wait() error {
	ctx, cancel := context.WithTimeout(m.ctx(), simWatchdog)
	m.waits = &simWait{cancel, make(chan error, 1)}
	ended, begun := m.waits.ended, make(chan struct{}, 1)
	go func() {
		_, err := m.d.rooms.Reconciler.Run(ctx, "simulation", func(stage string, _, _ int) {
			if stage == reconcile.StageWaiting {
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
		ended <- err
	}()
	select {
	case <-begun:
		return nil
	case err := <-ended:
		ended <- err
		return errors.Join(errors.New("the comparison did not wait"), m.waited())
	}
}

// waited waits for the end of a comparison that waited for a transaction, if there is one.
func (m *simMachine) waited() error {
	if m.waits == nil {
		return nil
	}
	w := m.waits
	m.waits = nil
	defer w.cancel()
	return <-w.ended
}

func (m *simMachine) receive() (wire.Message, error) {
	return m.reply.Read(m.ctx(), simWatchdog, simWatchdog)
}

// connect is what a package manager does first.
func (m *simMachine) connect() error {
	if m.identities != nil {
		ours, theirs := memoryPair()
		m.reply = wire.NewConn(theirs)
		m.session = m.d.rooms.Sessions.SessionOf(wire.Peer{PID: 1}, nil, wire.NewConn(ours))
		return nil
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	m.reply = wire.NewConn(theirs)
	if m.session = m.d.rooms.Sessions.New(ours); m.session == nil {
		return errors.New("no session")
	}
	return nil
}

func (m *simMachine) Begin(added, removed []sim.Package) (sim.Verdict, error) {
	m.hangUp()
	m.put = ""
	if err := m.connect(); err != nil {
		return 0, err
	}
	dev, ino, err := m.d.Root.ID()
	if err != nil {
		return 0, err
	}
	begin := &wire.Begin{Root: m.config.Root, RootDev: dev, RootIno: ino}
	for _, p := range added {
		begin.Elements = append(begin.Elements, wire.Element{Type: wire.Added, NEVRA: m.nevras[p.String()]})
	}
	for _, p := range removed {
		begin.Elements = append(begin.Elements, wire.Element{Type: wire.RemovedElement, NEVRA: m.nevras[p.String()]})
	}
	proceed, err := m.session.Begin(m.ctx(), begin)
	if err := m.after(err); err != nil {
		return 0, err
	}
	verdict, err := m.receive()
	if err != nil {
		return 0, err
	}
	if v := verdict.(*wire.Verdict).Decision; v == wire.Refuse {
		m.hangUp()
		return sim.Refused, nil
	} else if !proceed {
		return 0, fmt.Errorf("not managed: %v", v)
	}
	return sim.Unlisted, nil
}

func (m *simMachine) Unpack(p sim.Package) (sim.Verdict, error) {
	made := m.made[p.String()]
	h := &wire.Header{Type: wire.Added, Region: made.Region}
	if made.Signature != nil {
		h.Signatures = []header.Signature{{Tag: header.TagRSAHeader, Data: made.Signature}}
	}
	if err := m.after(m.session.Header(m.ctx(), h)); err != nil {
		return 0, err
	}
	reply, err := m.receive()
	if err != nil {
		return 0, err
	}
	m.named = ""
	switch l := reply.(*wire.List); l.Decision {
	case wire.ListNamed:
		m.named = l.Name
		return sim.Listed, nil
	case wire.RefuseList:
		return sim.Refused, nil
	}
	return sim.Unlisted, nil
}

func (m *simMachine) Put(p sim.Package) error {
	m.put = p.String()
	in, keys := m.db.has()
	err := errors.Join(m.db.write(append(in.Without(p), p), m.simWorld, keys), m.unpack(), m.label(p, m.named))
	if err != nil {
		return err
	}
	return m.after(m.session.Enter(m.ctx(), "installed", func(st *ledger.Ledger) error { st.Installed(m.session.Txn, 0); return nil }))
}

func (m *simMachine) Failed(sim.Package) error {
	return m.after(m.session.Enter(m.ctx(), "failed", func(st *ledger.Ledger) error { st.Failed(m.session.Txn, 0); return nil }))
}

func (m *simMachine) Gone(p sim.Package) error {
	if p.String() != m.put {
		in, keys := m.db.has()
		if err := errors.Join(m.db.write(in.Without(p), m.simWorld, keys), m.unpack()); err != nil {
			return err
		}
	}
	if m.session.Txn == nil {
		return errors.New("no transaction")
	}
	element := slices.IndexFunc(m.session.Txn.Elements, func(e policy.Element) bool {
		return e.Type == policy.Removed && e.NEVRA == m.nevras[p.String()]
	})
	return m.after(m.session.Removed(m.ctx(), &wire.Removed{Element: uint32(element), Digest: m.made[p.String()].Digest}))
}

func (m *simMachine) End() error {
	defer m.hangUp()
	if err := m.after(m.session.End(m.ctx())); err != nil {
		return err
	}
	reply, err := m.receive()
	if err != nil {
		return err
	}
	for _, n := range reply.(*wire.Ack).Notes {
		if strings.Contains(n.Text, "run: digestctl sync") {
			return errors.New(n.Text)
		}
	}
	return m.waited()
}

func (m *simMachine) Lose() error {
	if m.session == nil || m.session.Txn == nil {
		return m.after(nil)
	}
	m.session.Abandon(m.ctx())
	m.hangUp()
	return m.after(m.waited())
}
