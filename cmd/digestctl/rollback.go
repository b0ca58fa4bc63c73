// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func (a *app) rollbackCommand() *cobra.Command {
	return group("rollback", "Permit a package to go back to an older version",
		`Rollback permits a package to go back to one exact version, once; takes such a
permission back; and shows what was decided.`,
		a.rollbackGrantCommand(), a.rollbackRevokeCommand(), a.rollbackLogCommand())
}

func (a *app) rollbackGrantCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: prints(api.Grant{}),
		Use:         "grant NEVRA --reason TEXT",
		Short:       "Permit one older version, once",
		Long: `Grant permits a package to go back to exactly the version given, once. The next
installation of it uses the grant up; a floor set later takes it back. NEVRA may be
without its epoch, as rpm -q prints it: it is then that which the package has here.`,
		Example:           "  digestctl rollback grant bash-5.1-2.x86_64 --reason 'regression in 5.2, ticket 4711'",
		Args:              exactly("NEVRA"),
		ValidArgsFunction: a.asking(decided("rollback-refused")),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			grant, err := c.RollbackGrant(ctx, args[0], reason)
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(grant)
			}
			a.tui.say(good, "%s may be installed once, though newer was active", grant.Package)
			a.tui.say(plain, "  take it back with: digestctl rollback revoke %s", grant.Package)
			return nil
		}),
	}
	reasonFlag(cmd, &reason)
	return cmd
}

func (a *app) rollbackRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(done{}),
		Use:         "revoke NEVRA",
		Short:       "Take back a grant that was not used",
		Long: `Revoke takes back a grant that was not used. What is installed already stays
active; a floor keeps it out.`,
		Args:              exactly("NEVRA"),
		ValidArgsFunction: a.asking(decided("granted")),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.RollbackRevoke(ctx, args[0]); err != nil {
				return err
			}
			if a.json {
				return a.tui.json(done{args[0]})
			}
			a.tui.say(good, "the grant for %s is taken back", args[0])
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

func (a *app) rollbackLogCommand() *cobra.Command {
	var number uint32
	cmd := &cobra.Command{
		Annotations: prints(rollbackDocument{}),
		Use:         "log",
		Short:       "Show what was refused, granted, revoked and kept out, newest first",
		Long: `Log shows the decisions about versions, newest first: what was refused or kept
without a list for being older, grants and floors, and who made them and why.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			doc := rollbackDocument{Events: []api.Event{}}
			var err error
			doc.Total, err = c.RollbackLog(ctx, number, func(page []api.Event) {
				doc.Events = append(doc.Events, page...)
			})
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(doc)
			}
			if len(doc.Events) == 0 {
				a.tui.say(plain, "nothing was decided yet")
				return nil
			}
			a.tui.events(doc.Events)
			return nil
		}),
	}
	cmd.Flags().Uint32VarP(&number, "lines", "n", 50, "print at most `N` entries, 0 for all")
	return cmd
}

func (t *tui) events(events []api.Event) {
	rows := make([][]cell, len(events))
	for i, e := range events {
		rows[i] = []cell{{text: moment(e.When)}, {e.Kind, kindStyle(e.Kind)}, {text: eventSubject(e)}, {text: whoever(e.Actor.UID)}, {text: eventText(e)}}
	}
	t.table([]column{{"WHEN", false}, {"WHAT", false}, {"PACKAGE", false}, {"BY", false}, {"WHY", false}}, rows)
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
		return without(eventSubject(e), e.Text)
	}
	return e.Reason
}

func kindStyle(kind string) style {
	switch {
	case strings.Contains(kind, "refused"), strings.Contains(kind, "tamper"):
		return bad
	case strings.Contains(kind, "grant"), strings.Contains(kind, "floor"):
		return warn
	}
	return plain
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
