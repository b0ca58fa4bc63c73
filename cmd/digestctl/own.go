// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func (a *app) ownCommand() *cobra.Command {
	return group("own", "Keep lists of your own files beside those of packages",
		`Own makes, changes, removes and shows lists of files that no package brings:
local programs, a container, what was measured. They are signed by this
machine's key, and have versions: one that was replaced does not come back
unless you grant it, as for a package, by the name own:NAME.`,
		a.ownAddCommand(), a.ownUpdateCommand(), a.ownRemoveCommand(), a.ownShowCommand(), a.ownListCommand(), a.ownImportCommand())
}

// ownListDocument is what own list prints for programs.
type ownListDocument struct {
	Lists []api.Own `json:"lists"`
}

func (a *app) ownListCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(ownListDocument{}),
		Use:         "list",
		Short:       "List your own lists",
		Long:        "List prints your own lists, also those that were removed: their versions go on counting.",
		Args:        exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			lists, err := c.Owns(ctx)
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(ownListDocument{lists})
			}
			if len(lists) == 0 {
				a.tui.say(plain, "there are no own lists; make one: digestctl own add NAME PATH...")
				return nil
			}
			rows := make([][]cell, len(lists))
			for i, l := range lists {
				rows[i] = []cell{{text: l.Name}, {l.State, stateStyle(l.State)}, {text: strconv.FormatUint(l.Version, 10)},
					{text: strconv.Itoa(l.Files)}, {text: moment(l.Changed)}, {text: whoever(l.By.UID)}, {text: l.Reason}}
			}
			a.tui.table([]column{{"NAME", false}, {"STATE", false}, {"VERSION", true}, {"FILES", true}, {"CHANGED", false}, {"BY", false}, {"WHY", false}}, rows)
			return nil
		}),
	}
}

// ownShowDocument is what own show prints for programs.
type ownShowDocument struct {
	api.Own
	Entries []api.File `json:"entries,omitzero"`
}

func (a *app) ownShowCommand() *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Annotations: prints(ownShowDocument{}),
		Use:         "show NAME",
		Short:       "Show everything about one of your own lists",
		Long: `Show prints everything about one of your own lists; with --files also the files
and their digests. It exits with 3 when there is no list of that name.`,
		Args:              exactly("NAME"),
		ValidArgsFunction: a.asking(ownNames),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			own, err := c.Own(ctx, args[0])
			if err != nil {
				return err
			}
			doc := ownShowDocument{Own: own}
			if files && own.State == api.StateActive {
				doc.Entries = []api.File{}
				if _, err := c.Files(ctx, own.List, func(page []api.File) {
					doc.Entries = append(doc.Entries, page...)
				}); err != nil {
					return err
				}
			}
			if a.json {
				return a.tui.json(doc)
			}
			a.tui.own(doc)
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&files, "files", "f", false, "print the files and their digests")
	return cmd
}

func (t *tui) own(o ownShowDocument) {
	t.say(stateStyle(o.State), "%s: %s", o.Name, o.State)
	t.fact("note", "%s", o.Text)
	t.fact("list", "%s", o.List)
	t.fact("version", "%d", o.Version)
	if o.Highest != o.Version {
		t.fact("", "granted; the highest was %d", o.Highest)
	}
	t.fact("files", "%d", o.Files)
	name := "made of"
	for _, s := range o.Sources {
		t.fact(name, "%s", pathOf(s.Path, s.RawPath))
		name = ""
	}
	if o.Listed {
		t.fact(name, "the files it has")
	}
	t.fact("body", "%s", withAlgo("sha256", o.Digest))
	t.fact("signed by", "%s", o.Key)
	t.fact("created", "%s", moment(o.Created))
	t.fact("changed", "%s by %s", moment(o.Changed), whoever(o.By.UID))
	t.fact("why", "%s", o.Reason)
	for _, f := range o.Entries {
		t.say(plain, "    %s:%s  %s", f.Algo, f.Digest, pathOf(f.Path, f.RawPath))
	}
}

// ownDocument is what the verbs that change an own list print for programs.
type ownDocument struct {
	api.OwnResult
	Skipped []skippedFile `json:"skipped,omitzero"`
}

// skippedFile is one that could not be hashed.
type skippedFile struct {
	Path    string `json:"path"`
	RawPath []byte `json:"rawPath,omitzero"`
	Error   string `json:"error"`
}

func (a *app) ownRemoveCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: prints(ownDocument{}),
		Use:         "rm NAME",
		Short:       "Remove one of your own lists",
		Long: `Rm takes one of your own lists out of the directory, and its label from files that
were bound to it: nothing vouches for them any more, unless another list does.`,
		Args:              exactly("NAME"),
		ValidArgsFunction: a.asking(ownNames),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			result, err := a.ownJob(func(report client.Progress) (api.OwnResult, error) { return c.OwnRemove(ctx, args[0], reason, report) })
			if err != nil {
				return err
			}
			if a.json {
				return a.tui.json(ownDocument{OwnResult: result})
			}
			a.tui.say(good, "%s is removed: nothing of it is vouched for by it any more", result.Name)
			a.tui.fact("files", "%d, of which %d were bound to it", result.Files, result.Labelled)
			return nil
		}),
	}
	optionalReason(cmd, &reason)
	return cmd
}

// ownJob runs a job that changes an own list, and shows its progress.
func (a *app) ownJob(run func(report client.Progress) (api.OwnResult, error)) (api.OwnResult, error) {
	p := &progress{tui: a.tui, off: a.json || a.quiet}
	defer p.end()
	return run(p.show)
}

func (t *tui) owned(d ownDocument) {
	if d.Unchanged {
		t.say(good, "%s is unchanged: version %d, %s", d.Name, d.Version, count(d.Files, "file", "files"))
		return
	}
	t.say(good, "%s is active: version %d, %s, list %s", d.Name, d.Version, count(d.Files, "file", "files"), d.List)
	if d.Labelled > 0 {
		t.fact("labelled", "%d", d.Labelled)
	}
	if d.Left > 0 {
		t.fact("left out", "%s denied; see: digestctl deny list", count(d.Left, "file is", "files are"))
	}
	if d.Kept > 0 {
		t.fact("left", "%s to the list of the package that has the same", count(d.Kept, "file", "files"))
	}
	if d.Unlabelled > 0 {
		t.fact("unlabelled", "%s where no label can be written; the kernel looks for them in every list", count(d.Unlabelled, "file is", "files are"))
	}
	if d.Missing > 0 {
		t.fact("missing", "%s below the root", count(d.Missing, "file is not", "files are not"))
	}
}

// ownNames are the owner's own lists.
func ownNames(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	lists, err := c.Owns(ctx)
	for _, o := range lists {
		if o.State != api.StateRemoved {
			offers = append(offers, cobra.CompletionWithDesc(o.Name, o.State))
		}
	}
	return offers, err
}
