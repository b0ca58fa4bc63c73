// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"context"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/spf13/cobra"
)

// Floor is digestctl floor.
func Floor(a *cli.App) *cobra.Command {
	return cli.Group("floor", "Keep out versions of a package below a floor",
		`Floor sets, clears and lists floors. No version of a package below its floor may be
active. A floor takes effect immediately: an installed version below it loses its list.`,
		floorSetCommand(a), floorClearCommand(a), floorListCommand(a))
}

// floorDocument is what floor set prints for programs.
type floorDocument struct {
	Package string `json:"package"`
	EVR     string `json:"evr"`
}

func floorSetCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(floorDocument{}),
		Use:         "set PACKAGE [EPOCH:]VERSION-RELEASE --reason TEXT",
		Short:       "Set the lowest version that may be active",
		Long: `Set keeps out all versions of a package below the given one from now on: an installed
version below it loses its list immediately, and grants for lower versions are void.
PACKAGE is a name, which means every architecture, also those never seen; or
name.arch. A version without an epoch has the epoch of the installed package.`,
		Example:           "  digestctl floor set openssl 3.0.7-18 --reason CVE-2022-3602",
		Args:              cli.Exactly("PACKAGE", "VERSION-RELEASE"),
		ValidArgsFunction: a.Asking(cli.PackageNames, versionsOf),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.FloorSet(ctx, args[0], args[1], reason); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(floorDocument{args[0], args[1]})
			}
			a.UI.Say(terminal.Good, "no version of %s below %s may be active now", args[0], args[1])
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

func floorClearCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(done{}),
		Use:         "clear PACKAGE --reason TEXT",
		Short:       "Remove a floor",
		Long: `Clear removes the floor of a package. Versions older than the newest that was ever
active still stay out; see digestctl rollback grant.`,
		Args:              cli.Exactly("PACKAGE"),
		ValidArgsFunction: a.Asking(floored),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.FloorClear(ctx, args[0], reason); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(done{args[0]})
			}
			a.UI.Say(terminal.Good, "%s no longer has a floor", args[0])
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

// floorsDocument is what floor list prints for programs.
type floorsDocument struct {
	Floors []api.Floor `json:"floors"`
}

func floorListCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(floorsDocument{}),
		Use:         "list",
		Short:       "List the floors",
		Long: `List prints the floors, with the highest version of each package that was ever
active, the reason, and the user who set the floor or its origin, such as policy:NAME.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			floors, err := c.Floors(ctx)
			if err != nil {
				return err
			}
			return cli.Listing[api.Floor]{Document: floorsDocument{floors}, Items: floors, None: "no floor is set", Print: printFloors}.Show(a)
		}),
	}
}

func printFloors(t *terminal.UI, floors []api.Floor) {
	rows := make([][]terminal.Cell, len(floors))
	for i, f := range floors {
		by := ""
		if f.By != nil {
			by = terminal.UserName(f.By.UID)
		}
		if f.Origin != "" {
			by = f.Origin
		}
		rows[i] = []terminal.Cell{{Text: f.Package}, {Text: f.EVR}, {Text: f.High}, {Text: terminal.Moment(f.When)}, {Text: by}, {Text: f.Reason}}
	}
	t.Table([]terminal.Column{{Title: "PACKAGE"}, {Title: "FLOOR"}, {Title: "HIGHEST"}, {Title: "SET"}, {Title: "BY"}, {Title: "WHY"}}, rows)
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
