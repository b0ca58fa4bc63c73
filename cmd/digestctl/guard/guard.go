// SPDX-License-Identifier: Apache-2.0

// Package guard implements the verbs for the guard in the kernel: they show its state and
// refusals, check what it would refuse, change its mode, and learn refused files. Root asks
// digestd-guard and needs no digestd: the way out of a machine that refuses too much must not
// depend on it. Other users ask digestd, which lets polkit decide. digestd explains why a
// content is in no list.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
)

// app is what the verbs share.
type app struct {
	*cli.App
	socket string
	pins   string
}

// Command is digestctl guard.
func Command(a *cli.App) *cobra.Command {
	g := &app{App: a}
	cmd := cli.Group("guard", "Show and change what the kernel refuses to run",
		`Guard controls the BPF programs that digestd-guard loads into the kernel. In mode enforce
they allow only files whose content is in an active list; in mode audit they only report
the others. Root may use all verbs of guard; for other users polkit decides.`,
		g.statusCommand(), g.checkCommand(), g.denialsCommand(), g.learnCommand(), g.enforceCommand(), g.confirmCommand(), g.auditCommand(), g.offCommand(), g.exemptCommand())
	cmd.PersistentFlags().StringVar(&g.socket, "socket", protocol.DefaultSocket, "connect to digestd-guard at `PATH`")
	return cmd
}

// verb makes the function that cobra runs of one that talks to digestd-guard itself, or
// else, where its user may not, to digestd. One of both is nil.
func (g *app) verb(fn func(ctx context.Context, c *protocol.Client, d *client.Client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		g.Started = true
		c, err := g.dial(cmd.Context())
		if err == nil {
			defer c.Close()
			return fn(cmd.Context(), c, nil)
		}
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
		d, err := client.Dial(cmd.Context(), g.Bus)
		if err != nil {
			return err
		}
		defer d.Close()
		return fn(cmd.Context(), nil, d)
	}
}

func (g *app) dial(ctx context.Context) (*protocol.Client, error) {
	c, err := protocol.Dial(ctx, g.socket)
	if err != nil {
		return nil, &cli.Absent{Err: err, Advice: "start it: systemctl start digestd-guard"}
	}
	return c, nil
}

func (g *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: g.Prints(api.Guard{}),
		Use:         "status",
		Short:       "Show the guard's mode and counters",
		Long: `Status shows the mode of the guard, why it differs from the configured mode, how many
digests the guard allows, and its counters since it was loaded. It exits with 3 if the
guard does less than the configured mode, or if mode enforce is not available.`,
		Args: cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client, d *client.Client) error {
			s, err := guardOf(ctx, c, d)
			if err != nil {
				return err
			}
			if s.Why != "" || s.Doubt != "" {
				g.Code = cli.ExitBad
			}
			if g.JSON {
				return g.UI.JSON(s)
			}
			g.printStatus(s)
			return nil
		}),
	}
}

// guardOf asks either of both how the guard is.
func guardOf(ctx context.Context, c *protocol.Client, d *client.Client) (api.Guard, error) {
	if d != nil {
		return d.Guard(ctx)
	}
	s, err := c.Status(ctx)
	if err != nil {
		return api.Guard{}, err
	}
	denials, err := c.Denials(ctx)
	return protocol.Describe(s, denials), err
}

func (g *app) printStatus(s api.Guard) {
	switch style, more := terminal.Good, ""; {
	case s.Why != "":
		g.UI.Say(terminal.Warn, "the guard is in mode %s, not in mode %s: %s", s.Mode, s.Wanted, s.Why)
	default:
		if s.Trial > 0 {
			style, more = terminal.Warn, fmt.Sprintf(" for another %v; to keep it: digestctl guard confirm", s.Trial.Round(time.Second))
		}
		g.UI.Say(style, "the guard is in mode %s%s", s.Mode, more)
	}
	if s.Doubt != s.Why {
		g.UI.Colored(terminal.Bad, "doubt", "%s", s.Doubt)
	}
	g.UI.Fact("digests", "%d, of the index's commit %d", s.Digests, s.Commit)
	if s.Commit == 0 {
		g.UI.Fact("", "they are being changed, or digestd has not compared them with the index yet")
	}
	g.UI.Fact("modules", "%s", s.Modules)
	n := s.Counts
	g.UI.Fact("checks", "%d; for %d of them the kernel hashed a file", n.Checks, n.Hashed)
	g.UI.Fact("refused", "%d; mode enforce would have refused %d", n.Refused, n.Missed-min(n.Refused, n.Missed))
	for _, e := range s.Exempt {
		switch {
		case e.Refused != "":
			g.UI.Colored(terminal.Warn, "not exempt", "%s: %s", e.Name, e.Refused)
		case e.Forced != "":
			g.UI.Colored(terminal.Warn, "exempt", "containers of %s: %s", e.Name, e.Forced)
		default:
			g.UI.Fact("exempt", "containers of %s", e.Name)
		}
	}
	if len(s.Exempt) > 0 {
		g.UI.Fact("", "%d checks were exempt", n.Exempted)
	}
	if s.Start != "" {
		g.UI.Colored(terminal.Warn, "start", "the guard could not load its snapshot at boot: %s", s.Start)
	}
	if s.Doubts > 0 {
		g.UI.Colored(terminal.Warn, "doubts", "%d since digestd-guard was started", s.Doubts)
	}
	if n.Lost+n.Dropped > 0 {
		g.UI.Colored(terminal.Warn, "lost", "%d refusals were not logged", n.Lost+n.Dropped)
	}
	if s.Verified > 0 {
		g.UI.Fact("cost", "see digestd-guard(8); the kernel verified its programs in %d instructions", s.Verified)
	}
}
