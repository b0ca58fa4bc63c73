// SPDX-License-Identifier: Apache-2.0

// Package order is the verbs about the order in which the kernel reads lists.
package order

import (
	"context"
	"fmt"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/imalog"
	"github.com/spf13/cobra"
)

// Command is digestctl order.
func Command(a *cli.App) *cobra.Command {
	return cli.Group("order", "Keep the order in which the kernel reads lists, for a predictable PCR",
		`Order puts numbers before the names of lists, so that a kernel with the Integrity
Digest Cache reads and measures them in one order at every boot; it needs prefetch
for that. A package that is upgraded keeps its number.`,
		fromLogCommand(a), clearCommand(a), showCommand(a), prefetchCommand(a))
}

func fromLogCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: cli.Prints(api.Order{}),
		Use:         "from-ima-log FILE",
		Short:       "Number the lists as an IMA measurement list has them",
		Long: `From-ima-log numbers the lists by their first place in an IMA measurement list, as
digest-cache-tools do, and takes the number from all others. If the measurements
are of no list, as on a kernel that does not read them, the first use of any file
of a list counts. Lists are renamed and files bound to the new names soon after.`,
		Example: "  digestctl order from-ima-log /sys/kernel/security/ima/ascii_runtime_measurements",
		Args:    cli.Exactly("FILE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			paths := [][]byte{}
			err := userfile.EachMeasured(args[0], func(e imalog.Entry) error {
				if e.Path != "" && e.Path[0] == '/' {
					paths = append(paths, []byte(e.Path))
				}
				return nil
			})
			if err != nil {
				return err
			}
			order, err := c.OrderSet(ctx, paths, reason)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(order)
			}
			a.UI.Say(terminal.Good, "%s numbered", terminal.Count(order.Numbered, "list is", "lists are"))
			if order.ByFiles {
				a.UI.Fact("by", "the first use of their files: the measurements name no list")
			}
			if !order.Prefetch {
				a.UI.Fact("next", "digestctl order prefetch on: without it the kernel reads a list when it is needed")
			}
			return nil
		}),
	}
	cli.OptionalReason(cmd, &reason)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cmd
}

// orderChange is what order clear and order prefetch print for programs.
type orderChange struct {
	Order string `json:"order"`
}

func clearCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: cli.Prints(orderChange{}),
		Use:         "clear",
		Short:       "Take the numbers away",
		Long:        "Clear takes the numbers before the names of lists away, and binds files to the names without.",
		Args:        cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := c.OrderClear(ctx, reason); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(orderChange{"none"})
			}
			a.UI.Say(terminal.Good, "lists have no numbers any more")
			return nil
		}),
	}
	cli.OptionalReason(cmd, &reason)
	return cmd
}

// orderDocument is what order show prints for programs.
type orderDocument struct {
	api.Order
	Lists []api.Ordered `json:"lists"`
}

func showCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: cli.Prints(orderDocument{}),
		Use:         "show",
		Short:       "Show the lists that have a number, in order",
		Long:        "Show prints the lists that have a number, in order, and whether the kernel prefetches.",
		Args:        cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			var doc orderDocument
			var err error
			if doc.Order, doc.Lists, err = c.Order(ctx); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			printOrder(a.UI, doc)
			return nil
		}),
	}
}

func printOrder(t *terminal.UI, doc orderDocument) {
	if len(doc.Lists) == 0 {
		t.Say(terminal.Plain, "no list has a number")
	} else {
		rows := make([][]terminal.Cell, len(doc.Lists))
		for i, l := range doc.Lists {
			rows[i] = []terminal.Cell{{Text: strconv.FormatUint(uint64(l.Sequence), 10)}, {Text: l.NEVRA}, {Text: l.List}}
		}
		t.Table([]terminal.Column{{Title: "NUMBER", Number: true}, {Title: "PACKAGE"}, {Title: "LIST"}}, rows)
	}
	t.Fact("prefetch", "%s", onOff(doc.Prefetch))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func prefetchCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: cli.Prints(orderChange{}),
		Use:         "prefetch on|off",
		Short:       "Make the kernel read all lists before the one it looks for",
		Long: `Prefetch sets security.dig_prefetch on the list directory: the kernel then reads all
lists before the one it looks for, in their order, so that what it measures depends
on that order alone. digestd keeps it set.`,
		Args:      cli.Exactly("on or off"),
		ValidArgs: []string{"on", "off"},
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			if args[0] != "on" && args[0] != "off" {
				return cli.Usage(fmt.Errorf("order prefetch takes on or off, not %q", args[0]), "digestctl order prefetch")
			}
			if err := c.OrderPrefetch(ctx, args[0] == "on"); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(orderChange{"prefetch " + args[0]})
			}
			a.UI.Say(terminal.Good, "prefetch is %s", args[0])
			return nil
		}),
	}
}
