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
		Annotations: a.Prints(updateDocument{}),
		Use:         "update [NAME...]",
		Short:       "Update your own lists from their files",
		Long: `Update hashes the files of your own lists again, and publishes a new version of each
list that changed: of all active lists, or of the named ones. A list of single files
loses the files that no longer exist. If the files are again as they were in a replaced
version, that is a rollback, which update refuses until you grant it. If one list
cannot be made, update continues with the others.`,
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
				a.UI.Say(terminal.Plain, "there are no own lists to update")
			}
			return nil
		}),
	}
	o.flags(cmd)
	return cmd
}
