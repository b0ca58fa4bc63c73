// SPDX-License-Identifier: Apache-2.0

package decide

import (
	"context"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Rollback is digestctl rollback.
func Rollback(a *cli.App) *cobra.Command {
	return cli.Group("rollback", "Permit a rollback of a package to an older version",
		`Rollback grants a package one rollback to one exact version, revokes such a grant, and
shows the decisions about versions.`,
		rollbackGrantCommand(a), rollbackRevokeCommand(a), rollbackLogCommand(a))
}

func rollbackGrantCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Grant{}),
		Use:         "grant NEVRA --reason TEXT",
		Short:       "Permit one older version, once",
		Long: `Grant permits a package to go back to exactly the given version, once. The next
installation of that version uses up the grant; a floor set later revokes it. NEVRA
may omit the epoch, as rpm -q does: it is then the epoch of the installed package.`,
		Example:           "  digestctl rollback grant bash-5.1-2.x86_64 --reason 'regression in 5.2, ticket 4711'",
		Args:              cli.Exactly("NEVRA"),
		ValidArgsFunction: a.Asking(decided("rollback-refused")),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			grant, err := c.RollbackGrant(ctx, args[0], reason)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(grant)
			}
			a.UI.Say(terminal.Good, "%s may be installed once, although a newer version was active", grant.Package)
			a.UI.Say(terminal.Plain, "  to revoke the grant: digestctl rollback revoke %s", grant.Package)
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

func rollbackRevokeCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(done{}),
		Use:         "revoke NEVRA",
		Short:       "Revoke a grant that was not used",
		Long: `Revoke revokes a grant that was not used. A version that is installed already stays
active; use a floor to keep it out.`,
		Args:              cli.Exactly("NEVRA"),
		ValidArgsFunction: a.Asking(decided("granted")),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.RollbackRevoke(ctx, args[0]); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(done{args[0]})
			}
			a.UI.Say(terminal.Good, "the grant for %s is revoked", args[0])
			return nil
		}),
	}
}

// done is what a verb prints for programs that has nothing but success to tell.
type done struct {
	Package string `json:"package"`
}

// rollbackDocument is what rollback log prints for programs.
type rollbackDocument struct {
	Events []api.Event `json:"events"`
	Total  uint32      `json:"total"`
}

func rollbackLogCommand(a *cli.App) *cobra.Command {
	var number uint32
	cmd := &cobra.Command{
		Annotations: a.Prints(rollbackDocument{}),
		Use:         "log",
		Short:       "Show the decisions about versions, newest first",
		Long: `Log shows the decisions about versions, newest first: packages that were refused or
got no list because they are older, grants and floors, with the user and the reason.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			doc := rollbackDocument{Events: []api.Event{}}
			var err error
			doc.Total, err = c.RollbackLog(ctx, number, func(page []api.Event) {
				doc.Events = append(doc.Events, page...)
			})
			if err != nil {
				return err
			}
			return cli.Listing[api.Event]{Document: doc, Items: doc.Events, None: "there are no decisions yet", Print: printEvents}.Show(a)
		}),
	}
	cmd.Flags().Uint32VarP(&number, "lines", "n", 50, "print at most `N` entries, 0 for all")
	return cmd
}

func printEvents(t *terminal.UI, events []api.Event) {
	rows := make([][]terminal.Cell, len(events))
	for i, e := range events {
		rows[i] = []terminal.Cell{{Text: terminal.Moment(e.When)}, {Text: e.Kind, Style: kindStyle(e.Kind)}, {Text: eventSubject(e)}, {Text: terminal.UserName(e.Actor.UID)}, {Text: eventText(e)}}
	}
	t.Table([]terminal.Column{{Title: "WHEN"}, {Title: "WHAT"}, {Title: "PACKAGE"}, {Title: "BY"}, {Title: "WHY"}}, rows)
}

func eventSubject(e api.Event) string {
	for _, s := range []string{e.NEVRA, e.Package, e.List} {
		if s != "" {
			return s
		}
	}
	return "-"
}

func eventText(e api.Event) string {
	if e.Text != "" {
		return terminal.Without(eventSubject(e), e.Text)
	}
	return e.Reason
}

func kindStyle(kind string) terminal.Style {
	switch {
	case strings.Contains(kind, "refused"), strings.Contains(kind, "tamper"):
		return terminal.Bad
	case strings.Contains(kind, "grant"), strings.Contains(kind, "floor"):
		return terminal.Warn
	}
	return terminal.Plain
}

// decided are packages in the log of decisions, by the kinds of these.
func decided(kinds ...string) func(ctx context.Context, c *client.Client, prefix string, args []string) ([]cobra.Completion, error) {
	return func(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
		_, err = c.RollbackLog(ctx, api.MaxPage, func(page []api.Event) {
			for _, e := range page {
				if slices.Contains(kinds, e.Kind) {
					offers = append(offers, e.NEVRA)
				}
			}
		})
		return offers, err
	}
}
