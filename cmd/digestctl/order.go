// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/imalog"
	"github.com/spf13/cobra"
)

func (a *app) orderCommand() *cobra.Command {
	return group("order", "Keep the order in which the kernel reads lists, for a predictable PCR",
		`Order puts numbers before the names of lists, so that a kernel with the Integrity
Digest Cache reads and measures them in one order at every boot; it needs prefetch
for that. A package that is upgraded keeps its number.`,
		a.orderFromLogCommand(), a.orderClearCommand(), a.orderShowCommand(), a.orderPrefetchCommand())
}

func (a *app) orderFromLogCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: prints(api.Order{}),
		Use:         "from-ima-log FILE",
		Short:       "Number the lists as an IMA measurement list has them",
		Long: `From-ima-log numbers the lists by their first place in an IMA measurement list, as
digest-cache-tools do, and takes the number from all others. If the measurements
are of no list, as on a kernel that does not read them, the first use of any file
of a list counts. Lists are renamed and files bound to the new names soon after.`,
		Example: "  digestctl order from-ima-log /sys/kernel/security/ima/ascii_runtime_measurements",
		Args:    exactly("FILE"),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			paths := [][]byte{}
			err := eachMeasured(args[0], func(e imalog.Entry) error {
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
			if a.json {
				return a.tui.json(order)
			}
			a.tui.say(good, "%s numbered", count(order.Numbered, "list is", "lists are"))
			if order.ByFiles {
				a.tui.fact("by", "the first use of their files: the measurements name no list")
			}
			if !order.Prefetch {
				a.tui.fact("next", "digestctl order prefetch on: without it the kernel reads a list when it is needed")
			}
			return nil
		}),
	}
	optionalReason(cmd, &reason)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return cmd
}

// orderChange is what order clear and order prefetch print for programs.
type orderChange struct {
	Order string `json:"order"`
}

func (a *app) orderClearCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: prints(orderChange{}),
		Use:         "clear",
		Short:       "Take the numbers away",
		Long:        "Clear takes the numbers before the names of lists away, and binds files to the names without.",
		Args:        exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := c.OrderClear(ctx, reason); err != nil {
				return err
			}
			if a.json {
				return a.tui.json(orderChange{"none"})
			}
			a.tui.say(good, "lists have no numbers any more")
			return nil
		}),
	}
	optionalReason(cmd, &reason)
	return cmd
}

// orderDocument is what order show prints for programs.
type orderDocument struct {
	api.Order
	Lists []api.Ordered `json:"lists"`
}

func (a *app) orderShowCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(orderDocument{}),
		Use:         "show",
		Short:       "Show the lists that have a number, in order",
		Long:        "Show prints the lists that have a number, in order, and whether the kernel prefetches.",
		Args:        exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			var doc orderDocument
			var err error
			if doc.Order, doc.Lists, err = c.Order(ctx); err != nil {
				return err
			}
			if a.json {
				return a.tui.json(doc)
			}
			a.tui.order(doc)
			return nil
		}),
	}
}

func (t *tui) order(doc orderDocument) {
	if len(doc.Lists) == 0 {
		t.say(plain, "no list has a number")
	} else {
		rows := make([][]cell, len(doc.Lists))
		for i, l := range doc.Lists {
			rows[i] = []cell{{text: strconv.FormatUint(uint64(l.Sequence), 10)}, {text: l.NEVRA}, {text: l.List}}
		}
		t.table([]column{{"NUMBER", true}, {"PACKAGE", false}, {"LIST", false}}, rows)
	}
	t.fact("prefetch", "%s", onOff(doc.Prefetch))
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (a *app) orderPrefetchCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(orderChange{}),
		Use:         "prefetch on|off",
		Short:       "Make the kernel read all lists before the one it looks for",
		Long: `Prefetch sets security.dig_prefetch on the list directory: the kernel then reads all
lists before the one it looks for, in their order, so that what it measures depends
on that order alone. digestd keeps it set.`,
		Args:      exactly("on or off"),
		ValidArgs: []string{"on", "off"},
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			if args[0] != "on" && args[0] != "off" {
				return usage(fmt.Errorf("order prefetch takes on or off, not %q", args[0]), "digestctl order prefetch")
			}
			if err := c.OrderPrefetch(ctx, args[0] == "on"); err != nil {
				return err
			}
			if a.json {
				return a.tui.json(orderChange{"prefetch " + args[0]})
			}
			a.tui.say(good, "prefetch is %s", args[0])
			return nil
		}),
	}
}
