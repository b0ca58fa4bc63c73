// SPDX-License-Identifier: Apache-2.0

// Package guard is the verbs about the guard in the kernel: what it does and refused, what
// it would refuse, and its mode. They ask digestd-guard, as root, and need no digestd:
// the way out of a machine that refuses too much must not depend on it.
package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
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
	cmd := cli.Group("guard", "See and change what the kernel refuses to run",
		`Guard is about the programs that digestd-guard loads into the kernel. In mode enforce
they let contents run that an active list holds, and no others; in mode audit they
only tell of the others. All of its verbs need root.`,
		g.statusCommand(), g.checkCommand(), g.denialsCommand(), g.enforceCommand(), g.auditCommand(), g.offCommand())
	cmd.PersistentFlags().StringVar(&g.socket, "socket", protocol.DefaultSocket, "digestd-guard listens at `PATH`")
	return cmd
}

// verb makes the function that cobra runs of one that talks to digestd-guard.
func (g *app) verb(fn func(ctx context.Context, c *protocol.Client) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		g.Started = true
		c, err := g.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(cmd.Context(), c)
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
		Annotations: cli.Prints(protocol.Status{}),
		Use:         "status",
		Short:       "Say what the guard does and has counted",
		Long: `Status says which mode the guard is in, why that is not the mode that is configured,
how many digests it lets run, and what it has counted since it was loaded. It exits with
3 when the mode is less than what is configured.`,
		Args: cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client) error {
			s, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if s.Why != "" {
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

func (g *app) printStatus(s protocol.Status) {
	switch style, more := terminal.Good, ""; {
	case s.Why != "":
		g.UI.Say(terminal.Warn, "the guard is in mode %s, not in mode %s: %s", s.Mode, s.Wanted, s.Why)
	default:
		if s.Trial > 0 {
			style, more = terminal.Warn, fmt.Sprintf(", for %v more", s.Trial.Round(time.Second))
		}
		g.UI.Say(style, "the guard is in mode %s%s", s.Mode, more)
	}
	g.UI.Fact("digests", "%d, of the index's commit %d", s.Digests, s.Commit)
	if s.Commit == 0 {
		g.UI.Fact("", "they are being changed, or were not compared with the index yet")
	}
	g.UI.Fact("modules", "%s", s.Modules)
	n := s.Counts
	g.UI.Fact("checks", "%d, of which %d hashed a file", n.Checks, n.Hashed)
	g.UI.Fact("refused", "%d; %d would have been in mode enforce", n.Refused, n.Missed-n.Refused)
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
		g.UI.Fact("", "%d checks were let through", n.Exempted)
	}
	if s.Start != "" {
		g.UI.Colored(terminal.Warn, "start", "the guard could not begin with its snapshot: %s", s.Start)
	}
	if n.Lost > 0 {
		g.UI.Colored(terminal.Warn, "lost", "%d refusals that are in no log", n.Lost)
	}
}

// denialsDocument is what denials prints for programs.
type denialsDocument = protocol.Denials

func (g *app) denialsCommand() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Annotations: cli.Prints(denialsDocument{}),
		Use:         "denials",
		Short:       "List what the guard refused, summed up by content",
		Long: `Denials lists what the guard refused, or in mode audit would have refused, since
digestd-guard started: each content once, with the latest process that asked for it. With
--follow it goes on with what comes, one line or document each.`,
		Args: cobra.NoArgs,
		RunE: g.verb(func(ctx context.Context, c *protocol.Client) error {
			d, err := c.Denials(ctx)
			if err != nil {
				return err
			}
			if follow {
				return g.follow(ctx, c, d)
			}
			if g.JSON {
				return g.UI.JSON(d)
			}
			if len(d.All) == 0 {
				g.UI.Say(terminal.Good, "the guard refused nothing")
			}
			for _, one := range d.All {
				g.printDenial(one)
			}
			if d.Lost+d.Dropped > 0 {
				g.UI.Say(terminal.Warn, "%d refusals are missing here", d.Lost+d.Dropped)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	return cmd
}

// pace is how often follow asks.
const pace = time.Second / 2

// follow prints what is new until ctx ends.
func (g *app) follow(ctx context.Context, c *protocol.Client, d protocol.Denials) error {
	seen := map[string]uint64{}
	for {
		for _, one := range d.All {
			key := fmt.Sprint(one.Act, one.Reason, one.Digest, one.Device, one.Inode)
			if one.Digest != "" {
				key = one.Act + one.Reason + one.Digest
			}
			if one.Count == seen[key] {
				continue
			}
			seen[key] = one.Count
			if !g.JSON {
				g.printDenial(one)
			} else if err := g.UI.JSON(one); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
		var err error
		if d, err = c.Denials(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// reasons says in words what each reason means; the words of `why` for contents.
var reasons = map[string]string{
	"unlisted":  "no active list holds it",
	"unhashed":  "the kernel gave no SHA-256 of it",
	"written":   "it could be written to at that moment",
	"unstable":  "its file system may show other bytes each time",
	"unknown":   "its content was not known when it was to become code",
	"no-memory": "the kernel had no memory to check it",
	"in-use":    "its code is in use, so it cannot be written",
	"too-large": "no listed file is as large",
	"no-file":   "the kernel was handed bytes without a file",
}

func (g *app) printDenial(d protocol.Denial) {
	path := d.Path
	if path == "" {
		path = fmt.Sprintf("a file of device %d:%d, inode %d", d.Device>>20, d.Device&(1<<20-1), d.Inode)
	}
	style, verb := terminal.Bad, "refused"
	if d.Refused == 0 {
		style, verb = terminal.Warn, "allowed"
	}
	reason := reasons[d.Reason]
	if reason == "" {
		reason = d.Reason
	}
	g.UI.Say(style, "%s: %s %s, %s", path, d.Act, verb, reason)
	g.UI.Fact("digest", "%s", d.Digest)
	by := fmt.Sprintf("%s (PID %d, user %d)", d.By.Command, d.By.PID, d.By.UID)
	if d.By.Unit != "" {
		by += " of " + d.By.Unit
	}
	g.UI.Fact("by", "%s", by)
	g.UI.Fact("last", "%s, %s", d.Last.Local().Format(time.DateTime), terminal.Count(int(d.Count), "time", "times"))
}
