// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/store/record"
)

// Stage is the point that a connection had reached when one digestd left it to the next.
type Stage string

// The stages.
const (
	StageBegin       Stage = "begin" // it said nothing yet
	StageTest        Stage = "test"  // in a test run
	StageTransaction Stage = "transaction"
	StageAssured     Stage = "assured" // in one that no package will be kept out of
)

// Left is a connection that the former digestd left behind.
type Left struct {
	Conn  *net.UnixConn
	Stage Stage
}

// leave hands the connection to whatever digestd comes next, if that is
// possible. Of the transaction so far the directory has the lists and the index
// has the mark that it is open, as after a crash; the package manager does not
// notice.
func (s *Session) leave() bool {
	if s.Server.Leave == nil {
		return false
	}
	stage := StageBegin
	switch {
	case s.Txn != nil && s.Txn.Test:
		stage = StageTest
	case s.Txn != nil && s.Txn.Assured:
		stage = StageAssured
	case s.Txn != nil:
		stage = StageTransaction
	}
	if err := s.Server.Leave(Left{Conn: s.raw, Stage: stage}); err != nil {
		s.log.Warn("transaction not left to the next digestd", "error", err)
		return false
	}
	s.log.Info("transaction left to the next digestd", "stage", stage)
	return true
}

// TakeOver serves the connections that were left behind. When it returns their
// transactions are known to be open: nothing may be compared before.
func (ss *Server) TakeOver(ctx context.Context, left []Left) {
	if len(left) == 0 {
		return
	}
	ss.CatchUp(ctx)
	for _, l := range left {
		s := ss.New(l.Conn)
		if s == nil {
			continue
		}
		if l.Stage != StageBegin {
			s.GoOn(ctx, l.Stage)
		}
		ss.Open.Go(func() { s.serve(ctx) })
	}
}

// CatchUp does what comes otherwise with Begin, which those who are taken over have said,
// and with the first comparison, which waits for their end: until then acts are to
// concern all lists that are there.
func (ss *Server) CatchUp(ctx context.Context) {
	var all executor.Done
	err := ss.Exec.Do(ctx, func() (err error) {
		all, err = ss.Exec.Inspect(nil)
		return err
	})
	ss.Exec.Follow(all)
	if err != nil {
		ss.Logger.Error("list directory not checked", "error", err)
	}
	if err := ss.Keys.Refresh(ctx, true); err != nil {
		ss.Logger.Warn("keyring not refreshed", "error", err)
	}
}

// GoOn enters a transaction that began under another digestd. At the end of the transaction it
// finds the lists that the other one published by rpm's database.
func (s *Session) GoOn(ctx context.Context, stage Stage) {
	test := stage == StageTest
	s.begun = true
	s.Txn = &state.Transaction{
		Peer: s.peer, Manner: state.Manner{Test: test, Assured: stage == StageAssured, TakenOver: true},
		Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{},
	}
	s.log.Info("transaction taken over", "test", test)
	if test {
		return
	}
	err := s.Enter(ctx, "takeover", func(st *ledger.Ledger) error {
		st.Unsettled = true
		st.Opened(s.Txn)
		st.Record()
		return nil
	})
	if err != nil {
		s.log.Error("transaction not registered", "error", err)
	}
}

// Refuse sends the reason why digestd cannot start to the package managers that wait at l,
// so that none waits for its deadline.
func Refuse(l *net.UnixListener, why error) {
	const most, wait = 64, 50 * time.Millisecond
	for range most {
		l.SetDeadline(time.Now().Add(wait))
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		conn := wire.NewConn(c)
		err = conn.Write(&wire.Error{Text: why.Error()}, wait)
		conn.Close()
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}
