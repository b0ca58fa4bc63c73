// SPDX-License-Identifier: Apache-2.0

// Package session serves package managers: one connection is one transaction. See package
// wire for what is said on it.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/digestd/digestd/daemon/build"
	"github.com/digestd/digestd/daemon/export"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/label"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/policyfile"
	"github.com/digestd/digestd/daemon/reconcile"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Server serves package managers.
type Server struct {
	*host.Host
	Labels     *label.Labels
	Keys       *keysource.Source
	Reconciler *reconcile.Reconciler
	Policies   *policyfile.Source
	Exporter   *export.Exporter
	Leave      func(Left) error // leaves a connection to the next digestd, which must get a copy of it; nil if that cannot be
	Open       sync.WaitGroup   // the sessions that are open
	refusals   refusals         // hooks that could not be served
}

const (
	// frameDeadline bounds one frame, from its first byte to its last, and one reply.
	frameDeadline = 10 * time.Second
	// beginDeadline bounds how long a connection may stay without a Begin.
	beginDeadline = 10 * time.Second
	// maxSessions bounds the connections served at a time.
	maxSessions = 64
)

// Serve accepts package managers until ctx ends, which closes l. Sessions go on by
// themselves: wait for Open. It fails if l was closed by anybody else.
func (ss *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	slots := make(chan struct{}, maxSessions)
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("cannot accept hooks: %w", err)
			}
			// Out of descriptors, most likely: a pause gives the others time to end.
			ss.hookRefused(ctx, err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			ss.hookRefused(ctx, errTooMany)
			conn.Close()
			continue
		}
		ss.Open.Go(func() {
			defer func() { <-slots }()
			if s := ss.New(conn); s != nil {
				s.serve(ctx)
			}
		})
	}
}

// Session is one connection of a package manager.
type Session struct {
	*Server
	peer   wire.Peer
	raw    *net.UnixConn
	Conn   *wire.Conn // on raw
	Txn    *state.Transaction
	work   build.Workspace
	log    *slog.Logger
	begun  bool // under another digestd
	reload bool // the keyring was read anew for this transaction
	progress
}

// progress is what a transaction has come to so far.
type progress struct {
	seen    map[record.Digest]bool // headers whose lists were published
	nolist  []string               // why packages have no list
	signing time.Duration          // that signatures on files took
	broken  error                  // what keeps lists from being as they should be
}

// New returns the session of a connection, or nil if the peer may not be served. In that
// case New has sent the peer the reason.
func (ss *Server) New(c *net.UnixConn) *Session {
	peer, err := wire.PeerCred(c)
	conn := wire.NewConn(c)
	if err == nil && peer.UID != 0 && peer.UID != uint32(os.Geteuid()) {
		err = fmt.Errorf("cannot serve uid %d: only root runs package transactions", peer.UID)
	}
	if err != nil {
		ss.Logger.Warn("hook refused", "error", err)
		conn.Write(&wire.Error{Text: err.Error()}, frameDeadline)
		conn.Close()
		return nil
	}
	return ss.SessionOf(peer, c, conn)
}

// SessionOf returns the session of a peer that may be served. conn reads and writes raw.
func (ss *Server) SessionOf(peer wire.Peer, raw *net.UnixConn, conn *wire.Conn) *Session {
	serial := ss.Serial.Add(1)
	return &Session{
		Server: ss, peer: peer, raw: raw, Conn: conn, log: ss.Logger.With("transaction", serial, "pid", peer.PID),
		progress: progress{seen: map[record.Digest]bool{}},
		work:     build.Workspace{Stager: ss.Dir.Stager("hook" + strconv.FormatUint(serial, 36))},
	}
}

// serve returns when the transaction has ended, or is another's.
func (s *Session) serve(ctx context.Context) {
	defer s.Conn.Close()
	err := s.run(ctx)
	if errors.Is(err, errAtRest) && s.leave() {
		return
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.log.Warn("hook ended", "error", err)
		s.Conn.Write(&wire.Error{Text: err.Error()}, frameDeadline)
	}
	if s.Txn != nil && !s.Txn.Test {
		s.Abandon(ctx)
	}
}

// errAtRest means that digestd stops while nothing of a message was read yet.
var errAtRest = errors.New("digestd is stopping")

// next returns the next message. Once it has begun to come, it is read and
// answered even if digestd is to stop: what is read is known to nobody else.
func (s *Session) next(ctx context.Context, wait time.Duration) (wire.Message, error) {
	if err := s.Conn.Await(ctx, wait); err != nil {
		if ctx.Err() != nil {
			return nil, errAtRest
		}
		return nil, err
	}
	return s.Conn.Read(context.WithoutCancel(ctx), frameDeadline, frameDeadline)
}

// run serves the messages of one transaction, in order.
func (s *Session) run(ctx context.Context) error {
	work := context.WithoutCancel(ctx)
	if !s.begun {
		msg, err := s.next(ctx, beginDeadline)
		if err != nil {
			return err
		}
		var begin *wire.Begin
		switch m := msg.(type) {
		case *wire.Begin:
			begin = m
		case *wire.Hint:
			return s.hint(m)
		default:
			return fmt.Errorf("cannot serve a %T before a Begin", msg)
		}
		if proceed, err := s.Begin(work, begin); err != nil || !proceed {
			return err
		}
	}
	for {
		// A scriptlet may take hours: only a frame that has begun is timed.
		msg, err := s.next(ctx, 0)
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *wire.Header:
			if s.Txn.Test {
				err = s.examine(work, m)
				break
			}
			err = s.Header(work, m)
		case *wire.Installed:
			err = s.Enter(work, "installed", func(st *ledger.Ledger) error {
				st.Installed(s.Txn, m.Element)
				return nil
			})
		case *wire.Failed:
			ferr := s.Enter(work, "failed", func(st *ledger.Ledger) error {
				st.Failed(s.Txn, m.Element)
				return nil
			})
			if ferr != nil {
				s.log.Error("list not withdrawn", "element", m.Element, "error", ferr)
				s.broken = ferr
			}
		case *wire.Removed:
			err = s.Removed(work, m)
		case *wire.End:
			return s.End(work)
		default:
			err = fmt.Errorf("cannot serve a %T within a transaction", msg)
		}
		if err != nil {
			return err
		}
	}
}

// Enter brings an event of this session to the ledger.
func (s *Session) Enter(ctx context.Context, event string, fn func(*ledger.Ledger) error) error {
	return s.Exec.Enter(ctx, event, fn)
}

// Begin answers the first message of a transaction with a verdict, and reports whether the
// package manager is to say more. The error is that of the connection alone: a ledger that
// cannot record the transaction keeps no package manager from going on.
func (s *Session) Begin(ctx context.Context, m *wire.Begin) (proceed bool, err error) {
	managed, why := s.manages(m)
	if !managed {
		s.log.Debug("transaction not managed", "root", m.Root, "reason", why)
		if why == anotherDatabase && !m.Test() {
			s.tellOfDatabase(ctx, m)
		}
		return false, s.Conn.Write(&wire.Verdict{Decision: wire.NotManaged}, frameDeadline)
	}
	t := &state.Transaction{
		Peer: s.peer, RootDev: m.RootDev, Manner: state.Manner{Test: m.Test(), Check: m.Check(), DBOnly: m.JustDB()},
		Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{},
	}
	for _, e := range m.Elements {
		t.Elements = append(t.Elements, policy.Element{Type: elementType(e.Type), NEVRA: e.NEVRA})
	}
	if err := s.Keys.Refresh(ctx, false); err != nil {
		s.log.Warn("keyring not refreshed", "error", err)
	}
	added := 0
	for _, e := range t.Elements {
		if e.Type == policy.Added {
			added++
		}
	}
	verdict := &wire.Verdict{Decision: wire.Proceed}
	err = s.Enter(ctx, "begin", func(st *ledger.Ledger) error {
		// Once a package is unpacked it is too late: its programs would be refused.
		if err := s.Reconciler.Guard.Room(added); err != nil {
			verdict.Decision = wire.Refuse
			verdict.Notes = append(verdict.Notes, wire.Note{Level: wire.LevelError, Text: "digestd: " + err.Error() + "; free memory, or: digestctl guard audit"})
		}
		for _, d := range st.Asked(t) {
			switch d.Verdict {
			case policy.Veto:
				verdict.Decision = wire.Refuse
				verdict.Notes = append(verdict.Notes, wire.Note{Level: wire.LevelError, Text: "digestd: " + d.Text})
			case policy.WithholdList:
				verdict.Notes = append(verdict.Notes, wire.Note{Level: wire.LevelWarning, Text: "digestd: " + d.Text})
			}
		}
		if verdict.Decision == wire.Refuse {
			st.Record()
			return nil
		}
		if st.Assure(t) {
			verdict.Decision = wire.Assured
		}
		if !t.Test {
			st.Opened(t)
			st.Solved("database")
		}
		return nil
	})
	if verdict.Decision == wire.Refuse {
		// The refusal stands even if it could not be recorded.
		if err != nil {
			s.log.Error("refusal not recorded", "error", err)
		}
		s.log.Warn("transaction refused", "notes", len(verdict.Notes))
		return false, s.Conn.Write(verdict, frameDeadline)
	}
	s.Txn = t
	// The package manager goes on while the mark becomes durable: no list appears
	// before that.
	told := s.Conn.Write(verdict, frameDeadline)
	if err == nil && !t.Test {
		err = s.Enter(ctx, "mark", func(st *ledger.Ledger) error {
			st.Record()
			return nil
		})
	}
	if err != nil {
		// Without an open mark a crash would turn our lists into intruders: go
		// on, the package manager must not suffer, reconciliation will repair.
		s.log.Error("transaction not registered", "error", err)
	}
	return true, told
}

func elementType(t wire.ElementType) policy.ElementType {
	switch t {
	case wire.Added:
		return policy.Added
	case wire.RemovedElement:
		return policy.Removed
	}
	return policy.Other
}

// withdrawn returns the lists that t published and that went before its end. The package
// manager wrote their names to files that came after that.
func (s *Session) withdrawn(t *state.Transaction) (gone []ledger.Withdrawn) {
	snap := s.Snapshot()
	for _, name := range t.Touched {
		if e := snap.List(name); e != nil && !e.Active() {
			gone = append(gone, ledger.Withdrawn{Entry: e})
		}
	}
	return gone
}

// End ends the transaction, and answers with what the administrator is to be told. The
// error is that of the connection: of what could not be recorded the answer tells.
func (s *Session) End(ctx context.Context) error {
	t := s.Txn
	published, gone, err := s.Exec.End(ctx, t)
	s.Txn = nil
	if err == nil && t.DBOnly {
		s.Labels.BindStale(t.Touched)
	}
	s.Labels.Release(s.withdrawn(t))
	ack := &wire.Ack{}
	if !t.Test {
		s.takePolicies(ctx, ack)
	}
	switch {
	case err != nil:
		s.log.Error("transaction not recorded", "error", err)
		ack.Notes = append(ack.Notes, wire.Note{Level: wire.LevelWarning, Text: "digestd: " + err.Error() + "; run: digestctl sync"})
		s.WantSync("transaction not recorded")
	case s.broken != nil:
		s.WantSync("list not published")
	case s.begun && !t.Test:
		s.log.Info("transaction ended", "published", published, "withdrawn", gone, "withheld", len(s.nolist))
		s.Reconciler.TransactionEnded() // a comparison may wait for that
		s.Reconciler.Soon(ctx, "transaction begun under another digestd")
	default:
		s.log.Info("transaction ended", "published", published, "withdrawn", gone, "withheld", len(s.nolist))
	}
	ack.Notes = append(ack.Notes, summary(s.nolist)...)
	werr := s.Conn.Write(ack, frameDeadline)
	s.Reconciler.TransactionEnded()
	return werr
}

// takePolicies takes over the policy files that the transaction brought, before the package
// manager goes on. It never stops one.
func (s *Session) takePolicies(ctx context.Context, ack *wire.Ack) {
	if err := s.Policies.Refresh(ctx); err != nil {
		s.log.Error("policy files not taken over", "error", err)
		ack.Notes = append(ack.Notes, wire.Note{Level: wire.LevelWarning, Text: "digestd: policy files are not taken over yet: " + err.Error()})
		s.WantSync("policy files not taken over")
	}
}

// Abandon ends a transaction whose package manager is gone. rpm's database
// says what it really did.
func (s *Session) Abandon(ctx context.Context) {
	s.log.Warn("transaction abandoned", "reason", "connection lost before its end")
	err := s.Enter(context.WithoutCancel(ctx), "abandon", func(st *ledger.Ledger) error {
		st.Abandon(s.Txn)
		return nil
	})
	if err == nil {
		s.WantSync("transaction abandoned")
	}
	s.Reconciler.TransactionEnded()
}

// manages reports whether a transaction is about the packages this daemon
// keeps. Roots and databases are compared by identity: a name means little
// across chroots and mount namespaces.
func (ss *Server) manages(m *wire.Begin) (bool, string) {
	dev, ino, err := ss.Root.ID()
	if err != nil || dev != m.RootDev || ino != m.RootIno {
		return false, "another root"
	}
	dir, err := ss.LocateDB()
	if err != nil {
		// No database yet: the one that this transaction creates will be it.
		return true, ""
	}
	if dev, ino, err := statID(dir); err == nil && m.DBIno != 0 && (dev != m.DBDev || ino != m.DBIno) {
		return false, anotherDatabase
	}
	return true, ""
}

func statID(path string) (dev, ino uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Dev, st.Ino, nil
}
