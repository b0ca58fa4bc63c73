// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/spf13/cobra"
)

func (a *app) floorCommand() *cobra.Command {
	return group("floor", "Keep versions of a package below a floor out",
		`Floor sets, clears and lists the versions below which nothing of a package may be
active. A floor acts at once: an installed version below it loses its list.`,
		a.floorSetCommand(), a.floorClearCommand(), a.floorListCommand())
}

// floorDocument is what floor set prints for programs.
type floorDocument struct {
	Package string `json:"package"`
	EVR     string `json:"evr"`
}

func (a *app) floorSetCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: prints(floorDocument{}),
		Use:         "set PACKAGE [EPOCH:]VERSION-RELEASE --reason TEXT",
		Short:       "Let nothing older than a version be active",
		Long: `Set lets nothing of a package below the version given be active from now on: an
installed version below it loses its list at once, and older grants are void.
PACKAGE is a name, for every architecture of it, also those never seen; or
name.arch. A version without an epoch is of the epoch that the package has here.`,
		Example:           "  digestctl floor set openssl 3.0.7-18 --reason CVE-2022-3602",
		Args:              exactly("PACKAGE", "VERSION-RELEASE"),
		ValidArgsFunction: a.asking(packageNames, versionsOf),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.FloorSet(ctx, args[0], args[1], reason); err != nil {
				return err
			}
			if a.json {
				return a.tui.json(floorDocument{args[0], args[1]})
			}
			a.tui.say(good, "nothing of %s below %s may be active now", args[0], args[1])
			return nil
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) floorClearCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: prints(done{}),
		Use:         "clear PACKAGE --reason TEXT",
		Short:       "Remove a floor",
		Long: `Clear removes the floor of a package. Versions older than the newest that was ever
active stay out all the same; see digestctl rollback grant.`,
		Args:              exactly("PACKAGE"),
		ValidArgsFunction: a.asking(floored),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.FloorClear(ctx, args[0], reason); err != nil {
				return err
			}
			if a.json {
				return a.tui.json(done{args[0]})
			}
			a.tui.say(good, "%s has no floor any more", args[0])
			return nil
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

// floorsDocument is what floor list prints for programs.
type floorsDocument struct {
	Floors []api.Floor `json:"floors"`
}

func (a *app) floorListCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(floorsDocument{}),
		Use:         "list",
		Short:       "List the floors that were set",
		Long: `List prints the floors, with the highest version that was ever active of each
package, and who set them and why.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			floors, err := c.Floors(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(floorsDocument{floors})
			}
			if len(floors) == 0 {
				a.tui.say(plain, "no floor is set")
				return nil
			}
			a.tui.floors(floors)
			return nil
		}),
	}
}

func (t *tui) floors(floors []api.Floor) {
	rows := make([][]cell, len(floors))
	for i, f := range floors {
		by := ""
		if f.By != nil {
			by = whoever(f.By.UID)
		}
		rows[i] = []cell{{text: f.Package}, {text: f.EVR}, {text: f.High}, {text: moment(f.When)}, {text: by}, {text: f.Reason}}
	}
	t.table([]column{{"PACKAGE", false}, {"FLOOR", false}, {"HIGHEST", false}, {"SET", false}, {"BY", false}, {"WHY", false}}, rows)
}

// versionsOf are the versions of the package before that are here.
func versionsOf(ctx context.Context, c *client.Client, _ string, args []string) (offers []cobra.Completion, err error) {
	lists, err := c.Show(ctx, args[0])
	for _, l := range lists {
		if n, err := nevra.Parse(l.NEVRA); err == nil {
			offers = append(offers, cobra.CompletionWithDesc(strings.TrimPrefix(n.EVR.String(), "0:"), l.State))
		}
	}
	return offers, err
}

// floored are the packages that have a floor.
func floored(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	floors, err := c.Floors(ctx)
	for _, f := range floors {
		offers = append(offers, cobra.CompletionWithDesc(f.Package, "floor "+f.EVR))
	}
	return offers, err
}
