// SPDX-License-Identifier: Apache-2.0

// Package order implements the verbs for the order in which the kernel reads lists.
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
	return cli.Group("order", "Control the order in which the kernel reads the lists",
		`Order numbers the lists, so that a kernel with the Integrity Digest Cache reads and
measures them in the same order at every boot, if prefetch is on. The numbers precede
the names of the lists. A package keeps its number when it is upgraded.`,
		fromLogCommand(a), clearCommand(a), showCommand(a), prefetchCommand(a))
}

func fromLogCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Order{}),
		Use:         "from-ima-log FILE",
		Short:       "Number the lists in the order of an IMA measurement list",
		Long: `From-ima-log numbers the lists by their first place in an IMA measurement list, as
digest-cache-tools do, and removes the number from all other lists. If the log has no
measurement of a list, because the kernel does not read lists, the first use of a file
in the list counts. digestd then renames the lists and binds files to the new names.`,
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
				a.UI.Fact("by", "the first use of their files, because the measurements name no list")
			}
			if !order.Prefetch {
				a.UI.Fact("next", "digestctl order prefetch on: otherwise the kernel reads each list when it needs it")
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
		Annotations: a.Prints(orderChange{}),
		Use:         "clear",
		Short:       "Remove the numbers",
		Long:        "Clear removes the numbers from the names of lists, and binds files to the new names.",
		Args:        cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := c.OrderClear(ctx, reason); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(orderChange{"none"})
			}
			a.UI.Say(terminal.Good, "lists no longer have numbers")
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
		Annotations: a.Prints(orderDocument{}),
		Use:         "show",
		Short:       "Show the numbered lists in order",
		Long:        "Show prints the numbered lists in order, and whether the kernel prefetches lists.",
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
		Annotations: a.Prints(orderChange{}),
		Use:         "prefetch on|off",
		Short:       "Let the kernel read all lists before the one it needs",
		Long: `Prefetch sets security.dig_prefetch on the list directory: the kernel then reads all
lists before the one it needs, in order, so that its measurements depend on that order
alone. digestd keeps the attribute set.`,
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
