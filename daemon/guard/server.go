// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/kernel/guard"
)

// Maps are what the kernel knows; *bpf.Set is them. Every change but SetCommit makes
// the commit 0 before it changes anything.
type Maps interface {
	Admit([]guard.Digest) error
	Expel([]guard.Digest) error
	Replace(total int, next func() ([]guard.Digest, []uint32, error)) error
	Listed([]guard.Digest) ([]bool, error)
	SetKeepers([]guard.Digest) error
	Commit() (uint64, error)
	SetCommit(uint64) error
	Settings() (guard.Settings, error)
	SetSettings(guard.Settings) error
	Counts() (guard.Counts, error)
	Len() int
	// Each calls its function for each digest with the number of lists that hold it,
	// in no order, until an error.
	Each(func(guard.Digest, uint32) error) error
	SetExemptions(guard.Exemptions) error
	// Room returns how many digests there can be.
	Room() (most int, err error)
}

// maxConns is how many connections are served at a time.
const maxConns = 16

// Server serves digestd and the owner's commands over a socket.
type Server struct {
	Keeper   *Keeper
	Denials  *Log
	Log      *slog.Logger
	Switched func(to Change, by For) // hears of each change that digestd does not record; may be nil
	// Exempt puts an exemption in force, or ends one, and Exempted hears of each that digestd
	// does not record. Without the former there are none.
	Exempt   func(Exemption) error
	Exempted func(e Exemption, by For)
	UID      uint32 // who is served; root, but for tests
}

// Serve serves until ctx ends or l fails. When it returns, no call of it goes on.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	var busy sync.WaitGroup
	defer busy.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	room := make(chan struct{}, maxConns)
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("cannot accept connections: %w", err)
		}
		peer, err := wire.PeerCred(c)
		if err != nil || peer.UID != s.UID {
			s.Log.Warn("connection refused: only root is served", "uid", peer.UID, "pid", peer.PID, "error", err)
			c.Close()
			continue
		}
		select {
		case room <- struct{}{}:
			busy.Go(func() {
				defer func() { <-room }()
				s.Converse(ctx, c, peer)
			})
		default:
			s.Log.Warn("connection refused: too many are open", "limit", maxConns, "pid", peer.PID)
			c.Close()
		}
	}
}

// Converse answers one connection until it ends.
func (s *Server) Converse(ctx context.Context, with net.Conn, peer wire.Peer) {
	c := &conn{Conn: with}
	defer c.Close()
	for {
		k, payload, err := c.read(ctx, time.Time{})
		if err == nil {
			err = s.answer(ctx, c, peer, k, payload)
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, io.EOF) {
				s.Log.Warn("connection ended", "error", err)
			}
			return
		}
	}
}

// answer answers one frame. An error ends the connection.
func (s *Server) answer(ctx context.Context, c *conn, peer wire.Peer, k kind, payload []byte) error {
	switch k {
	case kindAdmit, kindExpel, kindListed, kindKeepers:
		digests, err := parseDigests(payload)
		if err != nil {
			return err
		}
		switch k {
		case kindAdmit:
			return reply(c, s.Keeper.Admit(digests))
		case kindExpel:
			return reply(c, s.Keeper.Expel(digests))
		case kindKeepers:
			return reply(c, s.Keeper.SetKeepers(digests))
		}
		return s.answerListed(c, digests)
	case kindCommit:
		if len(payload) != 8 {
			return fmt.Errorf("%w: a commit of %d bytes", ErrProtocol, len(payload))
		}
		return reply(c, s.Keeper.SetCommit(binary.BigEndian.Uint64(payload)))
	case kindLargest:
		if len(payload) != 8 {
			return fmt.Errorf("%w: a size of %d bytes", ErrProtocol, len(payload))
		}
		return reply(c, s.Keeper.SetLargest(binary.BigEndian.Uint64(payload)))
	case kindReplace:
		if len(payload) != 4 {
			return fmt.Errorf("%w: a number of digests of %d bytes", ErrProtocol, len(payload))
		}
		return s.answerReplace(ctx, c, int(binary.BigEndian.Uint32(payload)))
	case kindSettings:
		var to Change
		if err := json.Unmarshal(payload, &to); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		err := s.Keeper.Change(to)
		who := For{UID: peer.UID, PID: peer.PID}
		if to.For != nil {
			who = *to.For
		}
		s.Log.Warn("change of mode asked for", "mode", to.Mode, "trial", to.Trial, "confirm", to.Confirm, "reason", to.Reason,
			"uid", who.UID, "pid", who.PID, "unit", who.Unit, "error", err)
		if err == nil && to.For == nil && s.Switched != nil {
			s.Switched(to, who)
		}
		return reply(c, err)
	case kindExempt:
		var e Exemption
		if err := json.Unmarshal(payload, &e); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		return reply(c, s.exempt(e, peer))
	case kindChecked:
		var found Check
		if err := json.Unmarshal(payload, &found); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		err := s.Keeper.Checked(found)
		if err == nil && found.Passed() {
			s.Log.Info("all files that this machine needs are listed", "looked", found.Looked)
		} else if err == nil {
			s.Log.Error("the guard does not enforce", "reason", found.String(), "advice", "see digestctl guard check")
		}
		return reply(c, err)
	case kindWatch:
		if len(payload) != 8 {
			return fmt.Errorf("%w: a state of %d bytes", ErrProtocol, len(payload))
		}
		return s.answerWatch(ctx, c, binary.BigEndian.Uint64(payload))
	case kindStatus:
		status, err := s.Keeper.Status()
		return replyJSON(c, kindStatusIs, status, err)
	case kindSnapshot:
		return s.answerSnapshot(c)
	case kindRoom:
		room, err := s.Keeper.Room()
		return replyJSON(c, kindRoomIs, room, err)
	case kindDenials:
		return replyJSON(c, kindDenialsAre, s.Denials.Denials(), nil)
	}
	return fmt.Errorf("%w: kind %#x is no question", ErrProtocol, byte(k))
}

func (s *Server) answerListed(c *conn, digests []guard.Digest) error {
	listed, err := s.Keeper.Listed(digests)
	if err != nil {
		return reply(c, err)
	}
	answer := make([]byte, len(listed))
	for i, is := range listed {
		if is {
			answer[i] = 1
		}
	}
	return c.write(kindListedAre, answer)
}

// exempt does what somebody decided about containers.
func (s *Server) exempt(e Exemption, peer wire.Peer) error {
	err := e.check()
	if err == nil && s.Exempt == nil {
		err = errors.New("exemptions cannot be changed")
	}
	if err == nil {
		err = s.Exempt(e)
	}
	who := For{UID: peer.UID, PID: peer.PID}
	if e.For != nil {
		who = *e.For
	}
	s.Log.Warn("change of exemptions asked for", "cgroup", e.Group, "end", e.End, "force", e.Force, "reason", e.Reason,
		"uid", who.UID, "pid", who.PID, "unit", who.Unit, "error", err)
	if err == nil && e.For == nil && s.Exempted != nil {
		s.Exempted(e, who)
	}
	return err
}

// errTwice ends the connection of a client that asks before its question is answered.
var errTwice = fmt.Errorf("%w: a question while another is open", ErrProtocol)

// answerWatch answers once the state is another one than the client knows. A client that goes
// away meanwhile does not keep one of the few places.
func (s *Server) answerWatch(ctx context.Context, c *conn, known uint64) error {
	state, changed := s.Keeper.Watch()
	if state == known {
		if err := c.SetReadDeadline(time.Time{}); err != nil { // that of the frame is still set
			return err
		}
		heard := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			heard <- err
		}()
		select {
		case <-changed:
		case <-ctx.Done():
		case err := <-heard:
			return cmp.Or(err, errTwice)
		}
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return err
		}
		if err := <-heard; !errors.Is(err, os.ErrDeadlineExceeded) {
			return cmp.Or(err, errTwice)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		state, _ = s.Keeper.Watch()
	}
	return c.write(kindStateIs, binary.BigEndian.AppendUint64(nil, state))
}

// answerSnapshot sends all digests. Changes wait meanwhile, but for each part never
// longer than a frame may take.
func (s *Server) answerSnapshot(c *conn) error {
	var broken error // of the connection
	part := make([]byte, 0, perFrame*partSize)
	commit, err := s.Keeper.Each(func(d guard.Digest, lists uint32) error {
		part = binary.BigEndian.AppendUint32(append(part, d[:]...), lists)
		if len(part) < cap(part) {
			return nil
		}
		broken = c.write(kindPartIs, part)
		part = part[:0]
		return broken
	})
	if broken != nil {
		return broken
	}
	if err != nil {
		return reply(c, err)
	}
	if err := c.write(kindPartIs, part); err != nil {
		return err
	}
	return c.write(kindEndIs, binary.BigEndian.AppendUint64(nil, commit))
}

// answerReplace takes all parts as they come. Changes of others wait meanwhile, but
// never longer than a frame may take.
func (s *Server) answerReplace(ctx context.Context, c *conn, total int) error {
	const most = 1 << 30
	if total > most {
		return reply(c, fmt.Errorf("%d digests are too many", total))
	}
	if err := c.write(kindDone, nil); err != nil {
		return err
	}
	var commit uint64
	var broken error // of the connection
	seen := 0
	next := func() ([]guard.Digest, []uint32, error) {
		k, payload, err := c.read(ctx, time.Now().Add(frameTimeout))
		switch {
		case err != nil:
			broken = unexpected(err)
		case k == kindEnd && len(payload) == 8:
			commit = binary.BigEndian.Uint64(payload)
			return nil, nil, io.EOF
		case k != kindPart:
			broken = fmt.Errorf("%w: kind %#x among parts", ErrProtocol, byte(k))
		default:
			digests, lists, err := parsePart(payload)
			if seen += len(digests); err == nil && seen > total {
				err = fmt.Errorf("%w: more than the %d digests that were announced", ErrProtocol, total)
			}
			if err == nil {
				return digests, lists, nil
			}
			broken = err
		}
		return nil, nil, broken
	}
	err := s.Keeper.Replace(total, next, func() uint64 { return commit })
	if err == nil || broken != nil {
		return errors.Join(broken, reply(c, err))
	}
	// Further parts are still under way, and are no questions.
	reply(c, err)
	return err
}

// reply answers with success, or with what went wrong.
func reply(c *conn, err error) error {
	if err == nil {
		return c.write(kindDone, nil)
	}
	text := err.Error()
	return c.write(kindError, []byte(text[:min(len(text), maxText)]))
}

func replyJSON(c *conn, k kind, what any, err error) error {
	if err != nil {
		return reply(c, err)
	}
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return c.write(k, data)
}
