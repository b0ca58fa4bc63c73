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
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/digestd/digestd/daemon/audit"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/kernel/guard/bpf"
	"github.com/digestd/digestd/store"
)

var errUsage = errors.New("cannot use the options")

// run loads the guard and serves it until ctx ends. The guard goes on then.
func run(ctx context.Context, o options, log *slog.Logger) error {
	wanted, err := guard.ParseMode(o.mode)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	modules, err := guard.ParseMode(o.modules)
	if err != nil {
		return fmt.Errorf("%w: guard-modules: %w", errUsage, err)
	}
	most := guard.Enforce
	if line, err := os.ReadFile("/proc/cmdline"); err != nil {
		log.Warn("command line of the kernel not read", "error", err)
	} else {
		most = mostOf(string(line), log)
	}
	// Nothing is loaded that would do nothing.
	if min(wanted, most) == guard.Off {
		if err := bpf.Unload(o.dir); err != nil {
			return err
		}
		log.Info("the guard is off", "wanted", wanted.String(), "kernel-command-line-allows", most.String())
		notify(daemon.SdNotifyReady)
		return nil
	}
	set, err := bpf.Load(o.dir, bpf.Options{Strict: o.strict, Seal: o.seal})
	if err != nil {
		return err
	}
	defer set.Close()
	facts := protocol.Facts{Wanted: protocol.Change{Mode: o.mode}, Most: most, Strict: o.strict, Seal: o.seal, Modules: modules}
	for _, n := range set.Verified() {
		facts.Verified += n
	}
	if err := set.SelfTest(); err != nil {
		facts.Doubt = err.Error()
		log.Error("the guard enforces nothing", "error", err)
	}
	begun, err := o.begin(set, log)
	if err != nil {
		return err
	}
	facts.Start, facts.Anyway, facts.Check = begun.Doubt, begun.Anyway, !begun.Checked
	keeper, err := protocol.NewKeeper(set, facts)
	if err != nil {
		return err
	}
	events, err := set.Events()
	if err != nil {
		return err
	}
	defer events.Close()
	l, err := listen(o.socket)
	if err != nil {
		return err
	}
	defer l.Close()
	j := &journal{to: audit.NewJournal(audit.JournalDir)}
	w := &watcher{events: events, keeper: keeper, log: log, console: openConsole, journal: j}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.watch()
	}()
	x := newExempter(o, keeper, log)
	exempted := make(chan struct{})
	exempting, stop := context.WithCancel(ctx)
	go func() {
		defer close(exempted)
		x.run(exempting)
	}()
	defer func() {
		stop()
		<-exempted
	}()
	server := protocol.Server{Keeper: keeper, Denials: &w.denials, Log: log, UID: uint32(os.Getuid()), Switched: j.switched, Exempt: x.decide, Exempted: j.exempted}
	s, err := keeper.Status()
	if err != nil {
		return err
	}
	log.Info("the guard is loaded", "mode", s.Mode, "wanted", s.Wanted, "why", s.Why, "digests", s.Digests, "commit", s.Commit, "way-out", wayOut)
	notify(daemon.SdNotifyReady)
	serving, end := context.WithCancel(ctx)
	removed := make(chan bool, 1)
	go func() {
		removed <- removedProgram(serving, log)
		end()
	}()
	err = server.Serve(serving, l)
	end()
	notify(daemon.SdNotifyStopping)
	events.Close()
	<-watched
	if <-removed && ctx.Err() == nil {
		log.Warn("the guard is turned off: its program was removed, so nobody could let anything new run")
		err = errors.Join(err, bpf.Unload(o.dir))
	}
	return err
}

// removedProgram waits until the program of this process is gone for good, or ctx ends.
func removedProgram(ctx context.Context, log *slog.Logger) bool {
	path, err := os.Executable()
	if err == nil {
		err = gone(ctx, path, gracePeriod)
	}
	if err != nil && ctx.Err() == nil {
		log.Warn("that this program is removed would not be noticed", "error", err)
		<-ctx.Done()
	}
	return err == nil
}

// begin fills a guard that is new with what the latest snapshot has. If digestd runs already it
// sends everything in a moment, and nothing is in doubt.
func (o options) begin(maps protocol.Maps, log *slog.Logger) (protocol.Begun, error) {
	stale, err := guard.ParseMode(o.doubt)
	if err != nil {
		return protocol.Begun{}, fmt.Errorf("%w: guard-doubt: %w", errUsage, err)
	}
	begun, err := protocol.Start{
		State: o.state, Stale: stale,
		Key:    protocol.KeyIn(o.key),
		Commit: func() (uint64, error) { return store.LatestCommit(o.state) },
	}.Begin(maps)
	if err != nil || begun.Doubt == "" {
		return begun, err
	}
	if _, err := os.Lstat(o.hook); err == nil || o.mode != guard.Enforce.String() {
		log.Info("the guard begins without its snapshot, and waits for digestd", "reason", begun.Doubt)
		return protocol.Begun{}, nil
	}
	log.Error("the guard begins in doubt", "reason", begun.Doubt, "enforces", begun.Anyway, "way-out", wayOut)
	return begun, nil
}

// mostOf returns the mode that the kernel's command line allows at most. A value that
// is no mode allows Audit: the owner meant something.
func mostOf(line string, log *slog.Logger) guard.Mode {
	most := guard.Enforce
	for _, word := range strings.Fields(line) {
		value, ok := strings.CutPrefix(word, "digestd.guard=")
		if !ok {
			continue
		}
		mode, err := guard.ParseMode(value)
		if err != nil {
			log.Warn("digestd.guard= on the kernel's command line not understood", "error", err)
			mode = guard.Audit
		}
		most = min(most, mode)
	}
	return most
}

// listen makes the socket. One that nobody listens at is removed first.
func listen(path string) (*net.UnixListener, error) {
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	if c, err := net.DialUnix("unix", nil, addr); err == nil {
		c.Close()
		return nil, fmt.Errorf("cannot listen at %s: another digestd-guard does", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	l, err := net.ListenUnix("unix", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return l, nil
}

func notify(state string) {
	// Without a service manager there is nobody to tell.
	_, _ = daemon.SdNotify(false, state)
}
