// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"reflect"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// keepUntilRestart is the setting keep-old that lets replaced lists stay.
const keepUntilRestart = "until-restart"

// statusLine is what systemctl status shows.
func (d *Daemon) statusLine() string {
	snap := d.Snapshot()
	active, withheld := 0, 0
	for _, e := range snap.Entries {
		switch e.State {
		case record.Active:
			active++
		case record.Withheld:
			withheld++
		}
	}
	line := fmt.Sprintf("STATUS=%d lists active, %d packages without", active, withheld)
	if n := len(snap.Problems); n > 0 {
		line += fmt.Sprintf(", %d problems: see digestctl status", n)
	}
	return line
}

// watchdog proves to systemd that turns come to an end, if systemd asks for
// it.
func (d *Daemon) watchdog(ctx context.Context) error {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return nil
	}
	ticker := time.NewTicker(interval / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if d.Exec.Do(ctx, func() error { return nil }) == nil {
				d.notify("WATCHDOG=1")
			}
		}
	}
}

// reloadLoop answers SIGHUP with a full comparison with rpm's database, which
// also reads the trusted certificates anew.
func (d *Daemon) reloadLoop(ctx context.Context, around Surroundings) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-around.Reload:
			d.notify("RELOADING=1", sd.SdNotifyMonotonicUsec())
			if err := d.reconfigure(ctx, around.Config); err != nil {
				d.Logger.Error("configuration not reloaded", "error", err)
			}
			if _, err := d.rooms.Reconciler.Run(ctx, "reload", func(string, int, int) {}); err != nil && ctx.Err() == nil {
				d.Logger.Error("sync failed", "reason", "reload", "error", err)
			}
			d.notify("READY=1", d.statusLine())
		}
	}
}

// reconfigure takes over what of a changed configuration can change while the
// daemon runs; a configuration with an error in it leaves everything as it is.
func (d *Daemon) reconfigure(ctx context.Context, load func() (config.Config, error)) error {
	c, err := load()
	if err == nil {
		err = d.adopt(ctx, c)
	}
	d.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Solved("configuration")
		if err != nil {
			s.Problem("configuration", api.SeverityWarning, err.Error(), "fix it, then: systemctl reload digestd")
		}
		return nil
	})
	return err
}

func (d *Daemon) adopt(ctx context.Context, c config.Config) error {
	mode, err := policy.ParseMode(c.Mode)
	if err != nil {
		return err
	}
	unsigned, err := policy.ParseUnsigned(c.Unsigned)
	if err != nil {
		return err
	}
	fixed := c
	fixed.Mode, fixed.Unsigned, fixed.KeepOld, fixed.MultiVersion = d.Config.Mode, d.Config.Unsigned, d.Config.KeepOld, d.Config.MultiVersion
	fixed.DeploymentRollback = d.Config.DeploymentRollback
	if !reflect.DeepEqual(fixed, d.Config) {
		d.Logger.Warn("configuration change needs a restart", "reason", "only mode, unsigned, keep-old, multiversion and deployment-rollback change while digestd runs")
	}
	return d.Exec.Decide(ctx, "configuration", func(s *ledger.Ledger) error {
		same := s.Mode == mode && s.Unsigned == unsigned
		s.Mode, s.Unsigned, s.Multi, s.KeepOld = mode, unsigned, c.MultiVersion, c.KeepOld == keepUntilRestart
		s.RefuseOlder = c.DeploymentRollback == config.DeploymentRefuse
		s.Order = ledger.NewOrder(s.Order.Lists, s.Multi)
		s.Basis++
		if !same {
			s.Decided(false)
		}
		s.WithdrawRefused(true)
		if !same {
			s.WithdrawUnknown()
		}
		return nil
	})
}
