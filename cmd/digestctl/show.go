// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/client"
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

func (a *app) showCommand() *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Annotations: prints(showDocument{}),
		Use:         "show PACKAGE",
		Short:       "Show everything about the lists of a package",
		Long: `Show prints everything about the lists of a package: state and reason, the key
that vouches for it, digests and counter; with --files also the files and their
digests. It exits with 3 when no list of that package is known.`,
		Example:           "  digestctl show bash\n  digestctl show --files bash.x86_64",
		Args:              exactly("PACKAGE"),
		ValidArgsFunction: a.asking(packageNames),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
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
			if a.json {
				return a.tui.json(doc)
			}
			for _, l := range doc.Lists {
				a.tui.show(l)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&files, "files", "f", false, "print the files and their digests")
	return cmd
}

func (t *tui) show(l shownList) {
	t.say(stateStyle(l.State), "%s: %s", subject(l.List), l.State)
	t.fact("note", "%s", note(l.List))
	t.fact("list", "%s", l.Name)
	t.fact("file", "%s", l.Path)
	t.fact("files", "%d", l.Files)
	if l.Left > 0 {
		t.fact("without", "%s denied by %s", count(l.Left, "file", "files"), strings.Join(l.Denied, ", "))
	}
	t.fact(keyName(l.State), "%s", keyOf(l.Key, l.KeyOwner))
	t.fact("signed by", "%s", l.Signer)
	t.fact("header", "%s", withAlgo("sha256", l.HeaderDigest))
	t.fact("body", "%s", withAlgo("sha256", l.BodyDigest))
	if l.Counter > 0 {
		t.fact("activation", "%d", l.Counter)
	}
	t.fact("since", "%s", moment(l.Since))
	for _, f := range l.Entries {
		t.say(plain, "    %s:%s  %s", f.Algo, f.Digest, pathOf(f.Path, f.RawPath))
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
