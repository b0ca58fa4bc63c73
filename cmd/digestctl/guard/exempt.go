// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
)

// exemptDocument is what exempt prints for programs.
type exemptDocument struct {
	Exempt []api.GuardExemption `json:"exempt"`
}

func (g *app) exemptCommand() *cobra.Command {
	var req api.GuardExemptRequest
	cmd := &cobra.Command{
		Annotations: g.Prints(exemptDocument{}),
		Use:         "exempt GROUP",
		Short:       "Let the containers of a cgroup run files that no list holds",
		Long: `Exempt lets containers run files that are in no list, if their cgroup is GROUP or below it, they have a mount
namespace of their own, and the host has not mounted the file system of the file. GROUP is a cgroup below the root
of the tree, such as lxc or machine.slice, or a pattern with *. The exemption ends with --end, when digestd-guard is
stopped, and when the machine starts again; a restart or upgrade of digestd-guard keeps it. For a permanent exemption,
set guard-exempt in digestd.conf(5).

Exempt refuses a cgroup into which users other than root can put processes, because these users could then run any file.
With --force and a reason it accepts the cgroup.`,
		Example: "  sudo digestctl guard exempt lxc --reason 'the build machines'\n  sudo digestctl guard exempt --end lxc",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case req.Force && req.End:
				return errors.New("--force and --end contradict each other")
			case req.Force && strings.TrimSpace(req.Reason) == "":
				return errors.New("--force needs --reason")
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Group = args[0]
			return g.verb(func(ctx context.Context, c *protocol.Client, d *client.Client) error {
				return g.exempt(ctx, c, d, req)
			})(cmd, args)
		},
	}
	cmd.Flags().BoolVar(&req.End, "end", false, "end an exemption that this verb began")
	cmd.Flags().BoolVar(&req.Force, "force", false, "exempt the cgroup although others than root can make processes part of it")
	cli.OptionalReason(cmd, &req.Reason)
	return cmd
}

// exempt has digestd do it; where no digestd answers, root does it at digestd-guard.
func (g *app) exempt(ctx context.Context, c *protocol.Client, d *client.Client, req api.GuardExemptRequest) error {
	var is api.Guard
	done, err := g.recorded(ctx, d, func(d *client.Client) (err error) {
		is, err = d.GuardExempt(ctx, req)
		return err
	})
	if err == nil && !done {
		if err := c.Exempt(ctx, protocol.Exemption{Group: req.Group, End: req.End, Force: req.Force, Reason: req.Reason}); err != nil {
			return fmt.Errorf("cannot change what is exempt: %w", err)
		}
		is, err = guardOf(ctx, c, nil)
	}
	if err != nil {
		return err
	}
	return g.saidExempt(req, is)
}

func (g *app) saidExempt(req api.GuardExemptRequest, is api.Guard) error {
	if g.JSON {
		doc := exemptDocument{Exempt: []api.GuardExemption{}}
		doc.Exempt = append(doc.Exempt, is.Exempt...)
		return g.UI.JSON(doc)
	}
	if req.End {
		g.UI.Say(terminal.Good, "containers of %s are exempt no more, unless the configuration exempts them", req.Group)
		return nil
	}
	g.UI.Say(terminal.Good, "containers of %s run files that no list holds, until the machine starts again", req.Group)
	g.UI.Say(terminal.Plain, "to keep that, set guard-exempt in digestd.conf(5); to end it: digestctl guard exempt --end %s", req.Group)
	return nil
}
