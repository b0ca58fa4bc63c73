// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/bus"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/memory"
	"github.com/digestd/digestd/daemon/session"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// errStart means that the daemon never came to serve. Trying again helps only
// once somebody has mended the cause.
var errStart = errors.New("cannot start")

// run serves until ctx ends.
func run(ctx context.Context, path string, verbose bool) (err error) {
	debug.SetGCPercent(memory.FirstPercent) // until the daemon, which knows more, sets it
	p, err := takePassed(activation.Files(true))
	hook := p.hook
	defer func() {
		if hook == nil {
			return
		}
		if errors.Is(err, errStart) {
			session.Refuse(hook, err)
		}
		hook.Close()
	}()
	if err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	load := func() (config.Config, error) { return config.Load(path) }
	if err := pgp.CheckMode(); err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	c, err := load()
	if err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	log := logger(verbose)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	d, err := daemon.New(c, log, notify)
	waits := daemon.Temporary(err)
	if err != nil && !waits {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	if hook == nil {
		var lerr error
		if hook, lerr = listen(c.Socket); lerr != nil {
			err, waits = errors.Join(lerr, err), false
		}
	}
	if waits {
		s := &standby{config: c, load: load, log: log, hook: hook, reload: reload, since: time.Now(), why: err}
		if d, err = s.wait(ctx); err != nil && ctx.Err() != nil {
			p.leaveAgain(log)
			return nil
		}
		c = s.config
	}
	if d != nil {
		defer d.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStart, err)
	}
	if at := hook.Addr().String(); at != c.Socket {
		log.Warn("socket is another than configured", "socket", at, "configured", c.Socket, "reason", "the service manager made it, see digestd.socket")
	}
	link := &busLink{address: c.Bus, backend: d, log: log}
	defer link.leave()
	return d.Run(ctx, daemon.Surroundings{
		Hook:   hook,
		Left:   p.left,
		Leave:  leaver(),
		Reload: reload,
		Config: load,
		Bus:    link.start,
	})
}

// busLink is the connection of a daemon to its bus.
type busLink struct {
	address string
	backend *daemon.Daemon
	log     *slog.Logger
	server  *bus.Server
	joining sync.WaitGroup
}

// start joins the bus that is configured, if any.
func (l *busLink) start(ctx context.Context) error {
	switch l.address {
	case "none":
		return nil
	case "system":
		// While a machine boots, its bus takes connections that nobody
		// answers until the boot has gone on, which waits for us.
		l.joining.Go(func() {
			if err := l.join(ctx); err != nil && ctx.Err() == nil {
				l.log.Error("not on the bus", "error", err)
			}
		})
		return nil
	}
	return l.join(ctx)
}

func (l *busLink) join(ctx context.Context) error {
	s, err := bus.Serve(ctx, l.address, l.backend, l.log)
	if err != nil {
		return err
	}
	l.server = s
	return l.backend.Observe(ctx, s)
}

func (l *busLink) leave() {
	l.joining.Wait()
	if l.server != nil {
		l.server.Close()
	}
}

// notify passes state on to the service manager, if there is one.
func notify(state ...string) { sd.SdNotify(false, strings.Join(state, "\n")) }

// logger writes to standard error, which is the journal's under systemd; the
// journal stamps the time itself.
func logger(verbose bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		opts.Level = slog.LevelDebug
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, opts))
}
