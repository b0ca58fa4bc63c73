// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// listDocument is what list prints for programs.
type listDocument struct {
	Lists []api.List `json:"lists"`
	Total uint32     `json:"total"`
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(listDocument{}),
		Use:         "list [STATE|PATTERN]",
		Short:       "List the digest lists",
		Long: `List prints the digest lists and their packages: all of them, those in one state,
or those whose name or package matches a pattern such as 'python3*'.

A list is active when it lies in the list directory and vouches for its files;
withheld when its package is installed but not vouched for; quarantined when
another hand put it into the directory, or changed it there; empty when its
package has no file to vouch for. The note says why.`,
		Example:           "  digestctl list withheld\n  digestctl list 'python3*'",
		Args:              atMost("STATE or PATTERN"),
		ValidArgsFunction: a.asking(listFilters),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
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
			if a.json {
				return a.tui.json(doc)
			}
			if len(doc.Lists) == 0 {
				a.tui.say(plain, "%s", noLists(filter))
				return nil
			}
			a.tui.lists(doc.Lists)
			return nil
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
		return "no list is " + filter
	}
	return "no list matches " + strconv.Quote(filter)
}

func (t *tui) lists(lists []api.List) {
	rows := make([][]cell, len(lists))
	for i, l := range lists {
		rows[i] = []cell{{text: subject(l)}, {l.State, stateStyle(l.State)}, {text: strconv.Itoa(l.Files)}, {text: moment(l.Since)}, {text: note(l)}}
	}
	t.table([]column{{"PACKAGE", false}, {"STATE", false}, {"FILES", true}, {"SINCE", false}, {"NOTE", false}}, rows)
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
		return without(subject(l), l.Text)
	case l.Reason != "":
		return l.Reason
	case l.Granted:
		return "granted"
	case l.Left > 0:
		return count(l.Left, "file is", "files are") + " denied and left out"
	case l.Grace:
		return "replaced; stays until the machine restarts"
	}
	return ""
}

func stateStyle(state string) style {
	switch state {
	case api.StateActive:
		return good
	case api.StateWithheld:
		return warn
	case api.StateQuarantined:
		return bad
	}
	return plain
}

// listFilters are what list takes: states, and names of packages.
func listFilters(ctx context.Context, c *client.Client, prefix string, args []string) ([]cobra.Completion, error) {
	names, err := packageNames(ctx, c, prefix, args)
	return append(slices.Clone(listStates), names...), err
}
