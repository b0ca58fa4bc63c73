// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus"
	"github.com/digestd/digestd/daemon/config"
)

// The pauses between two attempts to start grow from the first to the last.
const (
	firstRest = 100 * time.Millisecond
	lastRest  = 30 * time.Second
)

// standby is a daemon that cannot start for a cause that may pass. It is ready,
// for no boot waits for it, says why it judges nothing, and tries again.
type standby struct {
	config config.Config
	load   func() (config.Config, error)
	log    *slog.Logger
	hook   *net.UnixListener
	reload <-chan os.Signal
	since  time.Time

	mu  sync.Mutex
	why error
}

func (s *standby) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// wait returns the daemon once it could be started, or why it never will be.
func (s *standby) wait(ctx context.Context) (*daemon.Daemon, error) {
	s.log.Error("digestd judges nothing until it can start", "error", s.cause())
	s.tell("READY=1")
	inner, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer func() {
		stop()
		group.Wait()
	}()
	group.Go(func() { daemon.RefuseMeanwhile(inner, s.hook, daemon.StandbyPatience, s.cause) })
	if s.config.Bus != "none" {
		group.Go(func() { s.serveBus(inner) })
	}
	for rest := firstRest; ; rest = min(2*rest, lastRest) {
		reloaded := false
		select {
		case <-ctx.Done():
			s.tell("STOPPING=1")
			return nil, ctx.Err()
		case <-time.After(rest):
		case <-s.reload:
			reloaded, rest = true, firstRest
			s.tell("RELOADING=1", sd.SdNotifyMonotonicUsec())
			if c, err := s.load(); err != nil {
				s.log.Error("configuration not reloaded", "error", err)
			} else {
				s.config = c
			}
		}
		d, err := daemon.New(s.config, s.log, notify)
		if reloaded {
			s.tell("READY=1")
		}
		if err == nil {
			s.log.Info("digestd could start at last", "after", time.Since(s.since))
			return d, nil
		}
		if !daemon.Temporary(err) {
			return nil, err
		}
		s.mu.Lock()
		again := s.why.Error() == err.Error()
		s.why = err
		s.mu.Unlock()
		if !again {
			s.log.Error("digestd still cannot start", "error", err)
		}
		s.tell("WATCHDOG=1")
	}
}

func (s *standby) tell(state ...string) {
	notify(append(state, fmt.Sprintf("STATUS=Judging nothing: %v", s.cause()))...)
}

// serveBus answers questions about the state of the daemon until ctx ends.
func (s *standby) serveBus(ctx context.Context) {
	c := s.config
	server, err := bus.Serve(ctx, c.Bus, bus.Standby(func() api.Status { return daemon.StandbyStatus(c, s.cause(), s.since) }), s.log)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("not on the bus", "error", err)
		}
		return
	}
	<-ctx.Done()
	if err := server.Close(); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("bus not left", "error", err)
	}
}
