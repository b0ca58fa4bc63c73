// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"slices"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// listDocument is what list prints for programs.
type listDocument struct {
	Lists []api.List `json:"lists"`
	Total uint32     `json:"total"`
}

// List is digestctl list.
func List(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(listDocument{}),
		Use:         "list [STATE|PATTERN]",
		Short:       "List the digest lists",
		Long: `List prints the digest lists and their packages: all of them, those in one state, or
those whose name or package matches a pattern such as 'python3*'.

A list is active if it is in the list directory and vouches for its files; withheld if
its package is installed but not vouched for; quarantined if another program put it
into the directory or changed it there; empty if its package has no file to vouch for.
The note gives the reason.`,
		Example:           "  digestctl list withheld\n  digestctl list 'python3*'",
		Args:              cli.AtMost("STATE or PATTERN"),
		ValidArgsFunction: a.Asking(listFilters),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			filter := ""
			if len(args) > 0 {
				filter = args[0]
			}
			doc := listDocument{Lists: []api.List{}}
			var err error
			doc.Total, err = c.Lists(ctx, filter, 0, func(page []api.List) {
				doc.Lists = append(doc.Lists, page...)
			})
			if err != nil {
				return err
			}
			return cli.Listing[api.List]{Document: doc, Items: doc.Lists, None: noLists(filter), Print: printLists}.Show(a)
		}),
	}
}

// listStates are those that list takes for a filter.
var listStates = []string{api.StateActive, api.StateWithheld, api.StateQuarantined, api.StateEmpty}

func noLists(filter string) string {
	switch {
	case filter == "":
		return "there are no lists"
	case slices.Contains(listStates, filter):
		return "there is no list in state " + filter
	}
	return "no list matches " + strconv.Quote(filter)
}

func printLists(t *terminal.UI, lists []api.List) {
	rows := make([][]terminal.Cell, len(lists))
	for i, l := range lists {
		rows[i] = []terminal.Cell{{Text: subject(l)}, {Text: l.State, Style: cli.StateStyle(l.State)}, {Text: strconv.Itoa(l.Files)}, {Text: terminal.Moment(l.Since)}, {Text: note(l)}}
	}
	t.Table([]terminal.Column{{Title: "PACKAGE"}, {Title: "STATE"}, {Title: "FILES", Number: true}, {Title: "SINCE"}, {Title: "NOTE"}}, rows)
}

// subject names what a list is about: its package, or itself when it is
// nobody's.
func subject(l api.List) string {
	if l.NEVRA != "" {
		return l.NEVRA
	}
	return l.Name
}

// note says what is out of the ordinary about a list.
func note(l api.List) string {
	switch {
	case l.Text != "":
		return terminal.Without(subject(l), l.Text)
	case l.Reason != "":
		return l.Reason
	case l.Granted:
		return "granted"
	case l.Left > 0:
		return terminal.Count(l.Left, "file is", "files are") + " denied and left out"
	case l.Grace:
		return "replaced; stays until the next boot"
	}
	return ""
}

// listFilters are what list takes: states, and names of packages.
func listFilters(ctx context.Context, c *client.Client, prefix string, args []string) ([]cobra.Completion, error) {
	names, err := cli.PackageNames(ctx, c, prefix, args)
	return append(slices.Clone(listStates), names...), err
}
