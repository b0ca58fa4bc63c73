// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/preflight"
	"github.com/digestd/digestd/kernel/guard"
)

// modeDocument is what verbs that change the mode print for programs.
type modeDocument struct {
	Mode  string        `json:"mode"`
	Trial time.Duration `json:"trial"`
}

func (g *app) enforceCommand() *cobra.Command {
	req := api.GuardRequest{Mode: api.GuardEnforce}
	cmd := &cobra.Command{
		Annotations: g.Prints(modeDocument{}, preflight.Report{}),
		Use:         "enforce",
		Short:       "Refuse files that are not in an active list",
		Long: `Enforce makes the kernel refuse files whose content is not in an active list, until the mode
is changed or the machine reboots. It first does what digestctl guard check does, and changes nothing if the
guard would refuse one of these files; --force enforces anyway, and needs a reason.

With --for the kernel returns to mode audit after that time, whatever happens to
digestd-guard, unless you confirm the trial with digestctl guard confirm before it ends. Users other than
root must begin with such a trial, because they cannot see all processes.`,
		Example: "  sudo digestctl guard enforce --for 10m\n  sudo digestctl guard confirm",
		Args: func(cmd *cobra.Command, args []string) error {
			if req.Force && strings.TrimSpace(req.Reason) == "" {
				return errors.New("--force needs --reason")
			}
			if cmd.Flags().Changed("for") && req.Trial <= 0 {
				return errors.New("--for needs a time, such as 10m")
			}
			return cobra.NoArgs(cmd, args)
		},
		RunE: g.verb(func(ctx context.Context, c *protocol.Client, d *client.Client) error {
			if !req.Force && c != nil {
				r, err := g.examine(ctx, c)
				if err != nil {
					return err
				}
				if !r.Passed() {
					return g.showReport(r)
				}
				req.Checked = true
			}
			return g.put(ctx, c, d, req)
		}),
	}
	cmd.Flags().DurationVar(&req.Trial, "for", 0, "return to audit after `TIME`, such as 10m")
	cmd.Flags().BoolVar(&req.Force, "force", false, "enforce although the guard would refuse needed files")
	cli.OptionalReason(cmd, &req.Reason)
	return cmd
}

func (g *app) confirmCommand() *cobra.Command {
	req := api.GuardRequest{Mode: api.GuardEnforce, Confirm: true}
	cmd := &cobra.Command{
		Annotations: g.Prints(modeDocument{}),
		Use:         "confirm",
		Short:       "Make a trial of mode enforce permanent",
		Long: `Confirm makes the trial that digestctl guard enforce --for began last until the mode is
changed or the machine reboots. It exits with 3 if no trial is in force (it does not restart a
trial that has ended), and with 7 if mode enforce has no end already. To enforce from every boot on, set
guard = "enforce" in digestd.conf(5).`,
		Args: cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client, d *client.Client) error {
			switch s, err := guardOf(ctx, c, d); {
			case err != nil:
				return err
			case s.Mode == api.GuardEnforce && s.Trial == 0:
				return api.Errorf(api.Unchanged, "the guard is in mode enforce already, without a time limit")
			case s.Mode != api.GuardEnforce:
				return &api.Error{Code: api.NotFound, Message: "no trial is in force: the guard is in mode " + s.Mode,
					Advice: "start a trial: digestctl guard enforce --for 10m"}
			}
			return g.put(ctx, c, d, req)
		}),
	}
	cli.OptionalReason(cmd, &req.Reason)
	return cmd
}

// put has digestd put a mode in force; where no digestd answers, root does it at digestd-guard.
func (g *app) put(ctx context.Context, c *protocol.Client, d *client.Client, req api.GuardRequest) error {
	done, err := g.recorded(ctx, d, func(d *client.Client) error {
		_, err := d.GuardSwitch(ctx, req)
		return err
	})
	switch {
	case err != nil:
		return err
	case !done:
		return g.change(ctx, c, req)
	}
	return g.said(req)
}

// recorded has digestd do something, so that it is recorded with the user who asked. done is false
// where no digestd answers: then root may do it at digestd-guard, whose log has it.
func (g *app) recorded(ctx context.Context, d *client.Client, do func(d *client.Client) error) (done bool, err error) {
	if d != nil {
		return true, do(d)
	}
	if d, err = client.Dial(ctx, g.Bus); err == nil {
		defer d.Close()
		d.StartNothing()
		err = do(d)
	}
	if err != nil && without(err) {
		return false, nil
	}
	return true, err
}

// without reports whether digestd could not do anything: it is not there, is of an older
// version, or was told that the guard is off.
func without(err error) bool {
	var ours *api.Error
	return errors.As(err, new(*client.Unreachable)) || client.BusError(err) != "" || errors.As(err, &ours) && (ours.Code == api.NotFound || ours.Code == api.Busy)
}

// change puts a mode in force at digestd-guard.
func (g *app) change(ctx context.Context, c *protocol.Client, req api.GuardRequest) error {
	if err := g.tell(ctx, c, req); err != nil {
		return err
	}
	return g.said(req)
}

func (g *app) tell(ctx context.Context, c *protocol.Client, req api.GuardRequest) error {
	if err := c.Change(ctx, protocol.Change{Mode: req.Mode, Trial: req.Trial, Confirm: req.Confirm, Reason: req.Reason}); err != nil {
		return fmt.Errorf("cannot change the guard's mode: %w", err)
	}
	return nil
}

func (g *app) said(to api.GuardRequest) error {
	if g.JSON {
		return g.UI.JSON(modeDocument{to.Mode, to.Trial})
	}
	switch {
	case to.Trial > 0:
		g.UI.Say(terminal.Good, "the kernel refuses files that are not in an active list, for %v", to.Trial)
		g.UI.Say(terminal.Plain, "to keep it, before it ends: digestctl guard confirm")
	case to.Mode == api.GuardEnforce:
		g.UI.Say(terminal.Good, "the kernel refuses files that are not in an active list")
		g.UI.Say(terminal.Plain, "to turn the guard off: digestctl guard off, or digestd.guard=off on the kernel's command line")
	case to.Mode == api.GuardAudit:
		g.UI.Say(terminal.Good, "the kernel refuses nothing, and reports files that are not in an active list")
	default:
		g.UI.Say(terminal.Good, "the guard is off")
	}
	return nil
}

// recordTime bounds how long digestd is waited for to record what has happened already.
const recordTime = 5 * time.Second

// record has digestd record a mode that is in force already.
func (g *app) record(ctx context.Context, req api.GuardRequest) {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	d, err := client.Dial(ctx, g.Bus)
	if err != nil {
		return
	}
	defer d.Close()
	d.StartNothing()
	if _, err := d.GuardSwitch(ctx, req); err != nil && !g.JSON {
		g.UI.Say(terminal.Plain, "digestd did not record it: %v", err)
	}
}

// leave makes a verb that lets more run. It asks digestd-guard first, since that has to work
// whatever state digestd is in.
func (g *app) leave(cmd *cobra.Command, req api.GuardRequest, last func(context.Context, error) error) error {
	g.Started = true
	ctx := cmd.Context()
	c, err := g.dial(ctx)
	if err == nil {
		defer c.Close()
		if err = g.tell(ctx, c, req); err == nil {
			err = g.said(req)
			g.record(ctx, req)
			return err
		}
		if errors.Is(err, protocol.ErrRefused) {
			return err
		}
	}
	if !errors.Is(err, fs.ErrPermission) {
		return last(ctx, err)
	}
	d, err := client.Dial(ctx, g.Bus)
	if err != nil {
		return err
	}
	defer d.Close()
	return g.put(ctx, nil, d, req)
}

func (g *app) auditCommand() *cobra.Command {
	req := api.GuardRequest{Mode: api.GuardAudit}
	cmd := &cobra.Command{
		Annotations: g.Prints(modeDocument{}),
		Use:         "audit",
		Short:       "Refuse nothing, and report files that are not in an active list",
		Long:        `Audit stops enforcement until the mode is changed or the machine reboots.`,
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.leave(cmd, req, func(_ context.Context, err error) error { return err })
		},
	}
	cli.OptionalReason(cmd, &req.Reason)
	return cmd
}

func (g *app) offCommand() *cobra.Command {
	req := api.GuardRequest{Mode: api.GuardOff}
	cmd := &cobra.Command{
		Annotations: g.Prints(modeDocument{}),
		Use:         "off",
		Short:       "Turn the guard off",
		Long: `Off allows everything until the mode is changed or the machine reboots. If
digestd-guard does not answer, it removes the guard's programs from the kernel.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.leave(cmd, req, func(_ context.Context, err error) error {
				if os.Geteuid() != 0 {
					return err
				}
				if removed, rerr := removePins(g.pins); rerr != nil {
					return rerr
				} else if !removed {
					return err
				}
				if g.JSON {
					return g.UI.JSON(modeDocument{Mode: req.Mode})
				}
				g.UI.Say(terminal.Good, "the guard is off: digestd-guard does not answer, so its programs were removed from the kernel")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&g.pins, "pins", guard.DefaultDir, "use the guard that is pinned in `DIRECTORY`")
	cli.OptionalReason(cmd, &req.Reason)
	return cmd
}

// removePins removes what keeps the programs in the kernel, and reports whether there
// was any. The maps stay: they do nothing alone.
func removePins(dir string) (removed bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot turn the guard off: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), guard.SetPrefix) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return removed, fmt.Errorf("cannot turn the guard off: %w", err)
		}
		removed = true
	}
	return removed, nil
}
