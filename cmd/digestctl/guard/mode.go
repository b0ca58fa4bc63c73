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
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/preflight"
	"github.com/digestd/digestd/kernel/guard"
)

// modeDocument is what verbs that change the mode print for programs.
type modeDocument struct {
	Mode  string        `json:"mode"`
	Trial time.Duration `json:"trial"`
}

func (g *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: cli.Prints(preflight.Report{}),
		Use:         "check",
		Short:       "Find what the guard would refuse",
		Long: `Check hashes what runs now, shells, package managers, logins and what these are
linked with, and asks which of it the guard would refuse in mode enforce. It exits with
3 when there is such a file. Programs that are run only at times show in mode audit: see
digestctl guard denials.`,
		Args: cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client) error {
			r, err := examine(ctx, c)
			if err != nil {
				return err
			}
			if len(r.Findings) > 0 {
				g.Code = cli.ExitBad
			}
			if g.JSON {
				return g.UI.JSON(r)
			}
			g.printReport(r)
			return nil
		}),
	}
}

func examine(ctx context.Context, c *protocol.Client) (preflight.Report, error) {
	return preflight.Machine{Proc: "/proc", Shells: "/etc/shells", Listed: c.Listed}.Examine(ctx)
}

func (g *app) printReport(r preflight.Report) {
	if len(r.Findings) == 0 {
		g.UI.Say(terminal.Good, "the guard lets all %d files run that run now or that every machine needs", r.Looked)
		return
	}
	g.UI.Say(terminal.Bad, "the guard would refuse %d of %d files", len(r.Findings), r.Looked)
	for _, f := range r.Findings {
		g.UI.Say(terminal.Plain, "%s: %s", f.Path, f.Why)
		g.UI.Fact("digest", "%s", f.Digest)
		g.UI.Fact("error", "%s", f.Error)
	}
	g.UI.Say(terminal.Plain, "install the package of a file anew, or list it: digestctl own add NAME FILE...")
}

func (g *app) enforceCommand() *cobra.Command {
	var trial time.Duration
	var force bool
	var reason string
	cmd := &cobra.Command{
		Annotations: cli.Prints(modeDocument{}),
		Use:         "enforce",
		Short:       "Refuse what no active list holds",
		Long: `Enforce makes the kernel refuse contents that no active list holds, until the mode is
changed or the machine starts again. It does what check does first, and changes nothing if the guard would
refuse any of it; --force enforces all the same, and needs a reason.

With --for the kernel goes back to mode audit after that time by itself, whatever happens
to digestd-guard; confirm within it with digestctl guard enforce.`,
		Example: "  sudo digestctl guard enforce --for 10m",
		Args: func(cmd *cobra.Command, args []string) error {
			if force && strings.TrimSpace(reason) == "" {
				return errors.New("--force needs --reason")
			}
			if cmd.Flags().Changed("for") && trial <= 0 {
				return errors.New("--for needs a time, such as 10m")
			}
			return cobra.NoArgs(cmd, args)
		},
		RunE: g.verb(func(ctx context.Context, c *protocol.Client) error {
			if !force {
				r, err := examine(ctx, c)
				if err != nil {
					return err
				}
				if len(r.Findings) > 0 {
					g.Code = cli.ExitBad
					if g.JSON {
						return g.UI.JSON(r)
					}
					g.printReport(r)
					return nil
				}
			}
			return g.change(ctx, c, protocol.Change{Mode: guard.Enforce.String(), Trial: trial, Reason: reason})
		}),
	}
	cmd.Flags().DurationVar(&trial, "for", 0, "go back to audit after `TIME`, such as 10m")
	cmd.Flags().BoolVar(&force, "force", false, "enforce although the guard would refuse what is needed")
	cli.OptionalReason(cmd, &reason)
	return cmd
}

func (g *app) change(ctx context.Context, c *protocol.Client, to protocol.Change) error {
	if err := c.Change(ctx, to); err != nil {
		return fmt.Errorf("cannot change the guard's mode: %w", err)
	}
	if g.JSON {
		return g.UI.JSON(modeDocument{to.Mode, to.Trial})
	}
	switch {
	case to.Trial > 0:
		g.UI.Say(terminal.Good, "the kernel refuses what no active list holds, for %v", to.Trial)
		g.UI.Say(terminal.Plain, "confirm before it ends with: digestctl guard enforce")
	case to.Mode == guard.Enforce.String():
		g.UI.Say(terminal.Good, "the kernel refuses what no active list holds")
		g.UI.Say(terminal.Plain, "the ways out are digestctl guard off, and digestd.guard=off on the kernel's command line")
	case to.Mode == guard.Audit.String():
		g.UI.Say(terminal.Good, "the kernel refuses nothing, and tells of what no active list holds")
	default:
		g.UI.Say(terminal.Good, "the guard is off")
	}
	return nil
}

func (g *app) auditCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: cli.Prints(modeDocument{}),
		Use:         "audit",
		Short:       "Refuse nothing, and tell of what no active list holds",
		Long:        `Audit ends enforcing, until the mode is changed or the machine starts again.`,
		Args:        cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client) error {
			return g.change(ctx, c, protocol.Change{Mode: guard.Audit.String(), Reason: reason})
		}),
	}
	cli.OptionalReason(cmd, &reason)
	return cmd
}

func (g *app) offCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: cli.Prints(modeDocument{}),
		Use:         "off",
		Short:       "Turn the guard off",
		Long: `Off lets everything run, until the mode is changed or the machine starts again. Where
digestd-guard does not answer it takes the programs out of the kernel.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g.Started = true
			to := protocol.Change{Mode: guard.Off.String(), Reason: reason}
			c, err := g.dial(cmd.Context())
			if err == nil {
				defer c.Close()
				if err = g.change(cmd.Context(), c, to); err == nil || errors.Is(err, protocol.ErrRefused) {
					return err
				}
			}
			if os.Geteuid() != 0 {
				return err
			}
			if removed, rerr := removePins(g.pins); rerr != nil {
				return rerr
			} else if !removed {
				return err
			}
			if g.JSON {
				return g.UI.JSON(modeDocument{Mode: to.Mode})
			}
			g.UI.Say(terminal.Good, "the guard is off: digestd-guard does not answer, so its programs were taken out of the kernel")
			return nil
		},
	}
	cmd.Flags().StringVar(&g.pins, "pins", guard.DefaultDir, "the guard is pinned in `FOLDER`")
	cli.OptionalReason(cmd, &reason)
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
