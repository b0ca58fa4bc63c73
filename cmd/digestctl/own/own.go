// SPDX-License-Identifier: Apache-2.0

// Package own implements the verbs for the owner's own lists.
package own

import (
	"context"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Command is digestctl own.
func Command(a *cli.App) *cobra.Command {
	return cli.Group("own", "Make and manage lists of your own files",
		`Own makes, changes, removes and shows lists of files that belong to no package: local
programs, a container, the files in an IMA measurement list. They are signed with this
machine's key and have versions: a replaced version cannot come back unless you grant
it, as for a package, by the name own:NAME.`,
		addCommand(a), updateCommand(a), removeCommand(a), showCommand(a), listCommand(a), importCommand(a))
}

// listDocument is what own list prints for programs.
type listDocument struct {
	Lists []api.Own `json:"lists"`
}

func listCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(listDocument{}),
		Use:         "list",
		Short:       "List your own lists",
		Long:        "List prints your own lists, including removed ones, whose version numbers continue.",
		Args:        cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			lists, err := c.Owns(ctx)
			if err != nil {
				return err
			}
			return cli.Listing[api.Own]{Document: listDocument{lists}, Items: lists, Print: printOwns,
				None: "there are no own lists; make one with: digestctl own add NAME PATH..."}.Show(a)
		}),
	}
}

func printOwns(t *terminal.UI, lists []api.Own) {
	rows := make([][]terminal.Cell, len(lists))
	for i, l := range lists {
		rows[i] = []terminal.Cell{{Text: l.Name}, {Text: l.State, Style: cli.StateStyle(l.State)}, {Text: strconv.FormatUint(l.Version, 10)},
			{Text: strconv.Itoa(l.Files)}, {Text: terminal.Moment(l.Changed)}, {Text: terminal.UserName(l.By.UID)}, {Text: l.Reason}}
	}
	t.Table([]terminal.Column{{Title: "NAME"}, {Title: "STATE"}, {Title: "VERSION", Number: true}, {Title: "FILES", Number: true}, {Title: "CHANGED"}, {Title: "BY"}, {Title: "WHY"}}, rows)
}

// showDocument is what own show prints for programs.
type showDocument struct {
	api.Own
	Entries []api.File `json:"entries,omitzero"`
}

func showCommand(a *cli.App) *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Annotations: a.Prints(showDocument{}),
		Use:         "show NAME",
		Short:       "Show one of your own lists",
		Long: `Show prints everything about one of your own lists; with --files also the files
and their digests. It exits with 3 if there is no list of that name.`,
		Args:              cli.Exactly("NAME"),
		ValidArgsFunction: a.Asking(names),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			own, err := c.Own(ctx, args[0])
			if err != nil {
				return err
			}
			doc := showDocument{Own: own}
			if files && own.State == api.StateActive {
				doc.Entries = []api.File{}
				if _, err := c.Files(ctx, own.List, func(page []api.File) {
					doc.Entries = append(doc.Entries, page...)
				}); err != nil {
					return err
				}
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			printOwn(a.UI, doc)
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&files, "files", "f", false, "print the files and their digests")
	return cmd
}

func printOwn(t *terminal.UI, o showDocument) {
	t.Say(cli.StateStyle(o.State), "%s: %s", o.Name, o.State)
	t.Fact("note", "%s", o.Text)
	t.Fact("list", "%s", o.List)
	t.Fact("version", "%d", o.Version)
	if o.Highest != o.Version {
		t.Fact("", "granted; the highest was %d", o.Highest)
	}
	t.Fact("files", "%d", o.Files)
	name := "made of"
	for _, s := range o.Sources {
		t.Fact(name, "%s", terminal.PathOf(s.Path, s.RawPath))
		name = ""
	}
	if o.Listed {
		t.Fact(name, "the files it has")
	}
	t.Fact("body", "%s", terminal.WithAlgo("sha256", o.Digest))
	t.Fact("signed by", "%s", o.Key)
	t.Fact("created", "%s", terminal.Moment(o.Created))
	t.Fact("changed", "%s by %s", terminal.Moment(o.Changed), terminal.UserName(o.By.UID))
	t.Fact("why", "%s", o.Reason)
	for _, f := range o.Entries {
		t.Say(terminal.Plain, "    %s:%s  %s", f.Algo, f.Digest, terminal.PathOf(f.Path, f.RawPath))
	}
}

// document is what verbs that change an own list print for programs.
type document struct {
	api.OwnResult
	Skipped []skippedFile `json:"skipped,omitzero"`
}

// skippedFile is a file that could not be hashed.
type skippedFile struct {
	Path    string `json:"path"`
	RawPath []byte `json:"rawPath,omitzero"`
	Error   string `json:"error"`
}

func removeCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(document{}),
		Use:         "rm NAME",
		Short:       "Remove one of your own lists",
		Long: `Rm withdraws one of your own lists and removes its label from the files that were bound
to it. The files are then no longer vouched for, unless another list includes them.`,
		Args:              cli.Exactly("NAME"),
		ValidArgsFunction: a.Asking(names),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			result, err := job(a, func(report client.Progress) (api.OwnResult, error) { return c.OwnRemove(ctx, args[0], reason, report) })
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(document{OwnResult: result})
			}
			a.UI.Say(terminal.Good, "%s is removed and no longer vouches for its files", result.Name)
			a.UI.Fact("files", "%d; %d of them were bound to it", result.Files, result.Labelled)
			return nil
		}),
	}
	cli.OptionalReason(cmd, &reason)
	return cmd
}

// job runs a job that changes an own list, and shows its progress.
func job(a *cli.App, run func(report client.Progress) (api.OwnResult, error)) (api.OwnResult, error) {
	p := &terminal.Progress{UI: a.UI, Off: a.JSON || a.Quiet}
	defer p.End()
	return run(p.Show)
}

func printOwned(t *terminal.UI, d document) {
	if d.Unchanged {
		t.Say(terminal.Good, "%s is unchanged: version %d, %s", d.Name, d.Version, terminal.Count(d.Files, "file", "files"))
		return
	}
	t.Say(terminal.Good, "%s is active: version %d, %s, list %s", d.Name, d.Version, terminal.Count(d.Files, "file", "files"), d.List)
	if d.Labelled > 0 {
		t.Fact("labelled", "%d", d.Labelled)
	}
	if d.Left > 0 {
		t.Fact("left out", "%s denied; see: digestctl deny list", terminal.Count(d.Left, "file is", "files are"))
	}
	if d.Kept > 0 {
		t.Fact("left", "%s to the list of a package with the same content", terminal.Count(d.Kept, "file", "files"))
	}
	if d.Unlabelled > 0 {
		t.Fact("unlabelled", "%s without a label, on a file system without labels; the kernel searches every list for them", terminal.Count(d.Unlabelled, "file is", "files are"))
	}
	if d.Missing > 0 {
		t.Fact("missing", "%s below the root", terminal.Count(d.Missing, "file is not", "files are not"))
	}
}

// names are the owner's own lists.
func names(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	lists, err := c.Owns(ctx)
	for _, o := range lists {
		if o.State != api.StateRemoved {
			offers = append(offers, cobra.CompletionWithDesc(o.Name, o.State))
		}
	}
	return offers, err
}
