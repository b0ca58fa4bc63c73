// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/digestd/digestd/daemon"
	"github.com/digestd/digestd/daemon/bus"
	"github.com/digestd/digestd/daemon/config"
)

// run serves until ctx ends.
func run(ctx context.Context, path string, verbose bool) error {
	// Headers come in bursts between long quiet times: a small heap is worth
	// more than the collector's time.
	debug.SetGCPercent(50)
	load := func() (config.Config, error) { return config.Load(path) }
	c, err := load()
	if err != nil {
		return err
	}
	log := logger(verbose)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)

	d, err := daemon.New(c, log, notify)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer d.Close()
	hook, err := listen(c.Socket)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer hook.Close()
	var server *bus.Server
	defer func() {
		if server != nil {
			server.Close()
		}
	}()
	return d.Run(ctx, daemon.Surroundings{
		Hook:   hook,
		Reload: reload,
		Config: load,
		Bus: func(ctx context.Context) error {
			if c.Bus == "none" {
				return nil
			}
			s, err := bus.Serve(ctx, c.Bus, d, log)
			if err != nil {
				return err
			}
			server = s
			return d.Observe(ctx, s)
		},
	})
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

// listen takes the socket that systemd passes, or makes one that root alone can
// connect to.
func listen(path string) (*net.UnixListener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("cannot take socket from systemd: %w", err)
	}
	for _, l := range passed {
		if unix, ok := l.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false)
			return unix, nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	// The state directory is locked: a socket that lies here is a dead daemon's.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	old := syscall.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return l, nil
}
