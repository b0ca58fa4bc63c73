// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/godbus/dbus/v5"
)

// ErrNameTaken means that another process owns org.digestd1 on that bus.
var ErrNameTaken = errors.New(api.BusName + " is taken: another digestd serves this bus")

// How long reconnecting waits: a bus that restarts is back within a second, one
// that is not installed is not worth a wake-up more often than the last.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 8 * time.Second
)

// closeTime bounds what ending may take once no job runs any more.
const closeTime = 2 * time.Second

// Server is a Backend on a bus. Its methods named like signals send them: they
// never block, and do nothing while there is no bus.
type Server struct {
	backend    Backend
	log        *slog.Logger
	dial       dialer
	interfaces []iface
	queue      *queue
	changed    chan struct{} // a property may have another value
	jobs       *jobs
	admission  admission
	waiting    waiting
	refusals   *refusals
	questions  atomic.Uint64 // put to polkit
	session    atomic.Pointer[session]
	ctx        context.Context // ends every call and job
	cancel     context.CancelFunc
	done       chan struct{}
}

// Serve puts b on the bus at address, "system" or a D-Bus address of a Unix
// socket, until ctx ends or Close is called. When the bus cannot be reached yet
// Serve keeps trying in the background: a daemon that starts before the bus
// must not fail for it. An address that can never work, a name that is taken or
// refused is an error.
func Serve(ctx context.Context, address string, b Backend, log *slog.Logger) (*Server, error) {
	dial, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	s := &Server{
		backend: b, log: log, dial: dial,
		queue: newQueue(), changed: make(chan struct{}, 1), jobs: newJobs(),
		refusals: newRefusals(log), done: make(chan struct{}),
	}
	s.interfaces = s.describe()
	s.ctx, s.cancel = context.WithCancel(ctx)
	first, err := s.connect(s.ctx)
	if err != nil {
		if !errors.Is(err, errUnreachable) {
			s.cancel()
			return nil, fmt.Errorf("cannot serve %s: %w", api.BusName, err)
		}
		log.Warn("bus not reachable, trying again in the background", "error", err)
	}
	// The name is ours: what is told from now on must reach who waited for it.
	s.session.Store(first)
	go s.run(first)
	return s, nil
}

// Close takes the backend off the bus, ends its jobs and waits for them.
func (s *Server) Close() error {
	s.cancel()
	<-s.done
	return nil
}

// Connected reports whether the backend is on the bus now.
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
		s.log.Info("on the bus", "name", api.BusName)
	case s.ctx.Err() == nil && !errors.Is(err, errUnreachable):
		s.log.Error("name on the bus refused", "name", api.BusName, "error", err)
	}
	return current, min(2*pause, lastPause)
}

// guard runs fn and turns a panic into an error: godbus runs every call in a
// goroutine of its own, where a panic would end the daemon.
func (s *Server) guard(what string, fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("panic in a call from the bus", "call", what, "panic", fmt.Sprint(r), "stack", stack())
			err = &api.Error{Code: api.Failed, Message: "digestd met with a fault of its own in " + what,
				Advice: "report it with what the journal has: journalctl -u digestd"}
		}
	}()
	return fn()
}

// emit sends a signal of ours on the connection there is.
func (s *Server) emit(sig signal) {
	if current := s.session.Load(); current != nil {
		if err := current.conn.Emit(api.Path, sig.name, sig.values...); err != nil && !errors.Is(err, dbus.ErrClosed) {
			s.log.Warn("signal not sent", "signal", sig.name, "error", err)
		}
	}
}
