// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// showDocument is what show prints for programs.
type showDocument struct {
	Lists []shownList `json:"lists"`
}

// shownList is a list, with its entries when they were asked for.
type shownList struct {
	api.List
	Entries []api.File `json:"entries,omitzero"`
}

// Show is digestctl show.
func Show(a *cli.App) *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Annotations: a.Prints(showDocument{}),
		Use:         "show PACKAGE",
		Short:       "Show the lists of a package",
		Long: `Show prints everything about the lists of a package: state and reason, the key that
vouches for the package, digests and counter; with --files also the files and their
digests. It exits with 3 if digestd knows no list of that package.`,
		Example:           "  digestctl show bash\n  digestctl show --files bash.x86_64",
		Args:              cli.Exactly("PACKAGE"),
		ValidArgsFunction: a.Asking(cli.PackageNames),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			lists, err := c.Show(ctx, args[0])
			if err != nil {
				return err
			}
			doc := showDocument{Lists: make([]shownList, len(lists))}
			for i, l := range lists {
				doc.Lists[i].List = l
				if !files || l.State != api.StateActive {
					continue
				}
				doc.Lists[i].Entries = []api.File{}
				if _, err := c.Files(ctx, l.Name, func(page []api.File) {
					doc.Lists[i].Entries = append(doc.Lists[i].Entries, page...)
				}); err != nil {
					return err
				}
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			for _, l := range doc.Lists {
				printShow(a.UI, l)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&files, "files", "f", false, "print the files and their digests")
	return cmd
}

func printShow(t *terminal.UI, l shownList) {
	t.Say(cli.StateStyle(l.State), "%s: %s", subject(l.List), l.State)
	t.Fact("note", "%s", note(l.List))
	t.Fact("list", "%s", l.Name)
	t.Fact("file", "%s", l.Path)
	t.Fact("files", "%d", l.Files)
	if l.Left > 0 {
		t.Fact("without", "%s denied by %s", terminal.Count(l.Left, "file", "files"), strings.Join(l.Denied, ", "))
	}
	t.Fact(keyName(l.State), "%s", keyOf(l.Key, l.KeyOwner))
	t.Fact("signed by", "%s", l.Signer)
	t.Fact("header", "%s", terminal.WithAlgo("sha256", l.HeaderDigest))
	t.Fact("body", "%s", terminal.WithAlgo("sha256", l.BodyDigest))
	if l.Counter > 0 {
		t.Fact("activation", "%d", l.Counter)
	}
	t.Fact("since", "%s", terminal.Moment(l.Since))
	for _, f := range l.Entries {
		t.Say(terminal.Plain, "    %s:%s  %s", f.Algo, f.Digest, terminal.PathOf(f.Path, f.RawPath))
	}
}

// keyName says what the key of a package does for its list: a good signature
// alone does not vouch.
func keyName(state string) string {
	if state == api.StateActive {
		return "vouched by"
	}
	return "key"
}

// keyOf names a key: the owner for people, the fingerprint to compare.
func keyOf(fingerprint, owner string) string {
	switch {
	case fingerprint == "":
		return ""
	case owner == "":
		return fingerprint
	}
	return owner + ", " + fingerprint
}
