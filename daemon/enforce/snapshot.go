// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/snapshot"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/durable"
)

// The guard begins with its snapshot when the machine starts, before digestd can tell it
// anything. It is written anew a moment after each commit of the index, for it counts
// only at that commit, and once more when digestd ends.

const (
	// firstSnapshot is how long commits may follow each other until one is written.
	firstSnapshot = 2 * time.Second
	lastSnapshot  = 10 * time.Second
	// snapshotPatience bounds the writing of one: a TPM takes a second to sign.
	snapshotPatience = 20 * time.Second
)

// Forget removes the snapshot if the guard is not used: it would be out of date when the
// guard is used again.
func Forget(h *host.Host) {
	if err := os.Remove(filepath.Join(h.Config.State, snapshot.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.Logger.Warn("old snapshot of the guard not removed", "error", err)
	}
}

// KeepSnapshot keeps the guard's snapshot at the index's commit, until ctx ends.
func (g *Guard) KeepSnapshot(ctx context.Context) error {
	if g == nil {
		return nil
	}
	return host.Retry(ctx, g.committed, firstSnapshot, lastSnapshot, func(ctx context.Context) (left bool) {
		if g.Snapshot().Open > 0 {
			return false // the end of the transaction is a commit
		}
		return g.keep(ctx) != nil
	})
}

// LastSnapshot writes the snapshot for the next start, after the last commit. If the guard
// missed changes, LastSnapshot sends all lists first: a snapshot of an older commit would
// put the guard in doubt.
func (g *Guard) LastSnapshot() {
	if g == nil {
		return
	}
	ctx := context.Background()
	lost := false
	g.Exec.Do(ctx, func() error {
		lost = g.Held != nil && !g.Agreed
		return nil
	})
	if lost {
		g.Agree(ctx)
	}
	if err := g.keep(ctx); err != nil {
		g.Logger.Warn("no snapshot of the guard left", "error", err)
	}
}

// keep writes the snapshot, and tells the administrator if it cannot.
func (g *Guard) keep(ctx context.Context) error {
	err := g.write(ctx)
	if errors.Is(err, errNoGuard) {
		return err // which is a problem of its own
	}
	g.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		if err == nil {
			s.Solved("guard-snapshot")
		} else {
			s.Problem("guard-snapshot", api.SeverityWarning, err.Error()+"; at the next boot the guard only audits until digestd has started",
				"fix the cause; digestd retries automatically")
		}
		s.Show()
		return nil
	})
	return err
}

func (g *Guard) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	c, err := protocol.Dial(ctx, g.Socket)
	if err != nil {
		return errNoGuard
	}
	defer c.Close()
	status, err := c.Status(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("cannot take a snapshot of the guard: %w", err)
	case status.Commit == 0:
		return errNoGuard // it is being told of something, and Committed follows
	}
	now := kept{status.Commit, status.Mode == api.GuardEnforce && status.Trial == 0}
	if now == g.saved {
		return nil
	}
	snap, err := c.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("cannot take a snapshot of the guard: %w", err)
	}
	snap.Enforced = now.enforced
	data, err := snap.Sign(g.Builder.Load().Identity.Key)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(g.Config.State, snapshot.Name), data, 0o600); err != nil {
		return fmt.Errorf("cannot keep the guard's snapshot: %w", err)
	}
	g.saved = kept{snap.Commit, now.enforced}
	return nil
}

// kept is what counts of a snapshot: the commit that it is of, and whether the guard
// enforced it.
type kept struct {
	commit   uint64
	enforced bool
}

// tellOf tells that the guard could not begin with its snapshot, until digestd-guard is
// started anew, and that it does not enforce what is configured.
func tellOf(s *ledger.Ledger, is protocol.Status) {
	if is.Start == "" {
		s.Solved("guard-doubt")
	} else {
		s.Problem("guard-doubt", api.SeverityWarning, "the guard had no valid snapshot when the machine started, until digestd sent it all lists: "+is.Start,
			"see what ran in that time: digestctl guard denials; then: systemctl restart digestd-guard")
	}
	if !is.Unchecked || is.Check == nil {
		s.Solved("guard-check")
	} else {
		s.Problem("guard-check", api.SeverityError, "the guard audits, and does not enforce: "+is.Check.String(),
			"see digestctl guard check for what to do about each file: the check is repeated when lists change, and every 10 minutes; or enforce all the same: digestctl guard enforce --force --reason TEXT")
	}
}
