// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/sieve"
	"github.com/godbus/dbus/v5"
)

// The pauses before it connects again: a bus that restarts is back within a second, one that is
// not installed is not worth a wake-up more often than the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 8 * time.Second
)

// closeTime bounds what ending may take once no job runs any more.
const closeTime = 2 * time.Second

// Server is an object on a bus.
type Server struct {
	log        *slog.Logger
	address    sieve.Address
	object     Object
	interfaces []Interface
	queue      *queue
	changed    chan struct{} // a property may have another value
	jobs       *jobs
	gate
	session atomic.Pointer[session]
	ctx     context.Context // ends every call and job
	cancel  context.CancelFunc
	done    chan struct{}
}

// gate is what callers have to pass.
type gate struct {
	admission admission
	waiting   waiting
	refusals  *refusals
	questions atomic.Uint64 // put to polkit
}

// New makes a server that is on no bus yet. The table of its object may use it.
func New(log *slog.Logger) *Server {
	return &Server{log: log, queue: newQueue(), changed: make(chan struct{}, 1), done: make(chan struct{})}
}

// Serve puts an object on the bus at address, "system" or a D-Bus address of a Unix
// socket, until ctx ends or Close is called. When the bus cannot be reached yet
// Serve keeps trying in the background: a daemon that starts before the bus
// must not fail for it. An address that can never work, a name that is taken or
// refused is an error.
func (s *Server) Serve(ctx context.Context, address string, o Object) error {
	sockets, err := sieve.ParseAddress(address)
	if err != nil {
		return err
	}
	s.address, s.object, s.jobs = sockets, o, newJobs(o.Program)
	s.refusals = newRefusals(s.log, o.RefusalWindow)
	s.interfaces = s.standard(o.Interface)
	s.ctx, s.cancel = context.WithCancel(ctx)
	first, err := s.connect(s.ctx)
	if err != nil {
		if !errors.Is(err, ErrUnreachable) {
			s.cancel()
			return fmt.Errorf("cannot serve %s: %w", o.Name, err)
		}
		s.log.Warn("bus not reachable, trying again in the background", "error", err)
	}
	// The name is ours: what is told from now on must reach who waited for it.
	s.session.Store(first)
	go s.run(first)
	return nil
}

// Close takes the object off the bus, ends its jobs and waits for them.
func (s *Server) Close() error {
	s.cancel()
	<-s.done
	return nil
}

// Connected reports whether the object is on the bus now.
func (s *Server) Connected() bool { return s.session.Load() != nil }

// run keeps a connection until the server's context ends, then sends what is
// queued and leaves.
func (s *Server) run(current *session) {
	defer close(s.done)
	var senders sync.WaitGroup
	senders.Go(s.sendQueued)
	senders.Go(s.watchProperties)
	pause := firstPause
	for s.ctx.Err() == nil {
		if current == nil {
			current, pause = s.reconnect(pause)
			continue
		}
		s.session.Store(current)
		follow := current.followAnnouncements
		senders.Go(func() { follow(s.ctx) })
		since := time.Now()
		select {
		case <-s.ctx.Done():
		case <-current.conn.Context().Done():
			s.session.Store(nil)
			current = nil
			s.log.Warn("bus went away, connecting again")
			if time.Since(since) > lastPause {
				pause = firstPause
			}
		}
	}
	s.jobs.wait()
	if current != nil {
		defer current.conn.Close()
		defer time.AfterFunc(closeTime, func() { current.conn.Close() }).Stop()
	}
	s.queue.close()
	senders.Wait()
	s.session.Store(nil)
}

// reconnect waits, tries once and returns how long to wait the next time.
func (s *Server) reconnect(pause time.Duration) (*session, time.Duration) {
	select {
	case <-time.After(pause):
	case <-s.ctx.Done():
		return nil, pause
	}
	current, err := s.connect(s.ctx)
	switch {
	case err == nil:
		s.log.Info("on the bus", "name", s.object.Name)
	case s.ctx.Err() == nil && !errors.Is(err, ErrUnreachable):
		s.log.Error("name on the bus refused", "name", s.object.Name, "error", err)
	}
	return current, min(2*pause, lastPause)
}

// guard runs fn and turns a panic into an error: godbus runs every call in a
// goroutine of its own, where a panic would end the daemon.
func (s *Server) guard(what string, fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic in a call from the bus", "call", what, "panic", fmt.Sprint(r), "stack", stack())
			err = &api.Error{Code: api.Failed, Message: s.object.Program + " had an internal error in " + what,
				Advice: "report it with the log: journalctl -u " + s.object.Program}
		}
	}()
	return fn()
}

// emit sends a signal of ours on the connection there is.
func (s *Server) emit(sig signal) {
	if current := s.session.Load(); current != nil {
		if err := current.conn.Emit(s.object.Path, sig.name, sig.values...); err != nil && !errors.Is(err, dbus.ErrClosed) {
			s.log.Warn("signal not sent", "signal", sig.name, "error", err)
		}
	}
}

// InProgress returns how many calls are being answered, and how many of them wait for
// polkit.
func (s *Server) InProgress() (calls, waiting int) {
	s.admission.mu.Lock()
	calls = s.admission.total
	s.admission.mu.Unlock()
	s.waiting.mu.Lock()
	defer s.waiting.mu.Unlock()
	return calls, s.waiting.total
}
