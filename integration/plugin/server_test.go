// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
)

// server records what plugins tell it.
type server struct {
	t        *testing.T
	listener *net.UnixListener
	served   sync.WaitGroup
	open     atomic.Int32 // connections

	mu    sync.Mutex
	as    behaviour
	heard []wire.Message
}

// behaviour is what a server does with its connections.
type behaviour struct {
	// reply answers a message that wants one; nil stands for the usual answer.
	reply func(m wire.Message) wire.Message
	// serve, if set, has the connection to itself.
	serve func(c *net.UnixConn)
}

// behave holds for connections that come from now on.
func (s *server) behave(as behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.as = as
}

func newServer(t *testing.T, path string) *server {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, listener: l}
	s.served.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

// stop ends the server, and waits until it heard everything that was sent.
func (s *server) stop() {
	s.listener.Close()
	s.served.Wait()
}

func (s *server) accept() {
	for {
		c, err := s.listener.AcceptUnix()
		if err != nil {
			return
		}
		s.mu.Lock()
		as := s.as
		s.mu.Unlock()
		s.open.Add(1)
		s.served.Go(func() {
			defer s.open.Add(-1)
			defer c.Close()
			if as.serve != nil {
				as.serve(c)
				return
			}
			s.record(c, as.reply)
		})
	}
}

func (s *server) record(c *net.UnixConn, answer func(wire.Message) wire.Message) {
	conn := wire.NewConn(c)
	if peer, err := wire.PeerCred(c); err != nil || peer.UID != 0 {
		s.t.Errorf("peer %+v, %v; want root", peer, err)
	}
	for {
		m, err := conn.Read(context.Background(), 30*time.Second, 10*time.Second)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.t.Errorf("server: %v", err)
			return
		}
		s.hear(m)
		var reply wire.Message
		if answer != nil {
			reply = answer(m)
		}
		if reply == nil {
			reply = usual(m)
		}
		if reply == nil {
			continue
		}
		if err := conn.Write(reply, 10*time.Second); err != nil {
			s.t.Errorf("server: %v", err)
			return
		}
	}
}

func (s *server) hear(m wire.Message) {
	if h, ok := m.(*wire.Header); ok {
		kept := *h
		kept.Region = bytes.Clone(h.Region)
		kept.Signatures = nil
		for _, sig := range h.Signatures {
			kept.Signatures = append(kept.Signatures, header.Signature{Tag: sig.Tag, Data: bytes.Clone(sig.Data)})
		}
		m = &kept
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, m)
}

// usual is how a daemon answers that has nothing against anything, nor will.
func usual(m wire.Message) wire.Message {
	switch m := m.(type) {
	case *wire.Begin:
		return &wire.Verdict{Decision: wire.Assured}
	case *wire.Header:
		return &wire.List{Element: m.Element, Decision: wire.ListNamed, Name: listName(m.Element)}
	case *wire.End:
		return &wire.Ack{}
	}
	return nil
}

func listName(element uint32) string { return fmt.Sprintf("tlv-element-%d", element) }

// messages returns what was heard since the last call.
func (s *server) messages() []wire.Message {
	s.t.Helper()
	s.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	s.heard = nil
	return heard
}

// settle waits until the connections of programs that are gone are read to
// their end. Connections are accepted in turn, so one that is served shows that
// all before it are.
func (s *server) settle() {
	s.t.Helper()
	c, err := net.Dial("unix", s.listener.Addr().String())
	if err != nil {
		return // stop waited
	}
	defer c.Close()
	c.(*net.UnixConn).CloseWrite()
	io.Copy(io.Discard, c)
	for deadline := time.Now().Add(time.Minute); s.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("a connection stays open, though rpm is gone")
		}
	}
}

// trace is what was heard since the last call, a line a message.
func (s *server) trace() []string {
	return traceOf(s.messages())
}

func traceOf(ms []wire.Message) (lines []string) {
	var elements []wire.Element
	name := func(i uint32) string { return elements[i].NEVRA.Name + "-" + elements[i].NEVRA.Version }
	instance := func(n uint32) string {
		if n == 0 {
			return "0"
		}
		return "n"
	}
	for _, m := range ms {
		switch m := m.(type) {
		case *wire.Begin:
			elements = m.Elements
			var listed []string
			for i, e := range elements {
				sign := map[wire.ElementType]string{wire.Added: "+", wire.RemovedElement: "-", wire.Restored: "="}[e.Type]
				listed = append(listed, sign+name(uint32(i))+"@"+instance(e.DBInstance))
			}
			slices.Sort(listed)
			lines = append(lines, fmt.Sprint("begin ", listed))
		case *wire.Header:
			lines = append(lines, fmt.Sprintf("header %s@%s", name(m.Element), instance(m.DBInstance)))
		case *wire.Installed:
			lines = append(lines, fmt.Sprintf("installed %s@%s", name(m.Element), instance(m.DBInstance)))
		case *wire.Failed:
			lines = append(lines, fmt.Sprintf("failed %s", name(m.Element)))
		case *wire.Removed:
			lines = append(lines, fmt.Sprintf("removed %s", name(m.Element)))
		case *wire.End:
			lines = append(lines, fmt.Sprintf("end %d", m.Failed))
		}
	}
	return lines
}
