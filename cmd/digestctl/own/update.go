// SPDX-License-Identifier: Apache-2.0

package own

import (
	"context"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// updateDocument is what own update prints for programs.
type updateDocument struct {
	Lists []document `json:"lists"`
}

func updateCommand(a *cli.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Annotations: cli.Prints(updateDocument{}),
		Use:         "update [NAME...]",
		Short:       "Hash the files of your own lists again",
		Long: `Update hashes again what your own lists are made of, and publishes those that have
changed as a new version: all lists that are active, or those named. A list of
single files loses those that are gone. What has become as it was in a version
that was replaced is a rollback, and refused until you grant it. One list that
cannot be made does not keep the others from it.`,
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			lists, err := c.Owns(ctx)
			if err != nil {
				return err
			}
			all := len(args) == 0
			doc := updateDocument{Lists: []document{}}
			for _, l := range lists {
				if all && l.State == api.StateActive && l.Key == "" {
					args = append(args, l.Name)
				}
			}
			for _, name := range args {
				old, err := c.Own(ctx, name)
				if err != nil {
					return err
				}
				switch {
				case old.State == api.StateRemoved:
					return &api.Error{Code: api.NotFound, Message: name + " was removed", Advice: "make it again: digestctl own add " + name + " PATH..."}
				case old.Key != "":
					return &api.Error{Code: api.InvalidArgument, Message: name + " was made and signed elsewhere", Advice: "import the next version: digestctl own import"}
				}
				m := making{app: a, client: c, options: o, name: name, old: old}
				if err := m.make(ctx); err != nil {
					if a.JSON || len(args) == 1 || ctx.Err() != nil {
						return err
					}
					t := cli.Explain(err)
					a.UI.Trouble(t.Error.Message, t.Error.Advice)
					a.Code = max(a.Code, t.Exit)
					continue
				}
				doc.Lists = append(doc.Lists, m.doc)
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			if len(doc.Lists) == 0 {
				a.UI.Say(terminal.Plain, "there are no own lists that could be made again")
			}
			return nil
		}),
	}
	o.flags(cmd)
	return cmd
}
