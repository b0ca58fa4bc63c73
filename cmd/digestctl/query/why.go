// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// whyDocument is what why prints for programs.
type whyDocument struct {
	Why []api.Why `json:"why"`
}

// Why is digestctl why.
func Why(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(whyDocument{}),
		Use:         "why PATH...",
		Short:       "Show whether files are vouched for, and why",
		Long: `Why shows for each file whether it is vouched for and by which list, package, version
and key; or exactly why not, and what to do about it. For root digestd reads the file;
for other users digestctl does, with the rights of the user. It does not read files
that the kernel generates, such as those in /proc.

It exits with 0 if every file is vouched for, with 3 if one is not, and with 4 if there
is no such file.`,
		Example: "  digestctl why /usr/bin/ls\n  digestctl why --json ./a ./b",
		Args:    cli.AtLeast("PATH"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			doc := whyDocument{Why: make([]api.Why, 0, len(args))}
			for _, arg := range args {
				path, err := userfile.Absolute(arg)
				if err != nil {
					return err
				}
				why, err := c.Ask(ctx, path)
				if err != nil {
					return err
				}
				doc.Why = append(doc.Why, why)
				if !a.JSON {
					printWhy(a.UI, arg, why)
				}
			}
			a.Code = whyCode(doc.Why)
			if a.JSON {
				return a.UI.JSON(doc)
			}
			return nil
		}),
	}
}

// whyCode is the exit code for several answers: the one an administrator must
// look at wins.
func whyCode(list []api.Why) int {
	code := cli.ExitOK
	for _, w := range list {
		switch {
		case w.Vouched:
		case w.Verdict == api.VerdictMissing:
			code = max(code, cli.ExitNoFile)
		default:
			return cli.ExitBad
		}
	}
	return code
}

// printWhy prints the answer, then why, then the facts, then what to do.
func printWhy(t *terminal.UI, arg string, w api.Why) {
	style := terminal.Bad
	if w.Vouched {
		style = terminal.Good
	}
	t.Say(style, "%s: %s", arg, w.Text)
	if !w.Vouched {
		for _, r := range w.Reasons {
			t.Fact("because", "%s", terminal.Without(w.Owner, r))
		}
	}
	if w.RealPath != "" && w.RealPath != w.Path {
		t.Fact("file", "%s", w.RealPath)
	}
	t.Fact("content", "%s", terminal.WithAlgo(w.Algo, w.Digest))
	for _, l := range w.Lists {
		t.Fact("expected", "%s", terminal.WithAlgo(w.Algo, l.Expected))
	}
	if w.Digest != "" {
		t.Fact("label", "%s", cmp.Or(w.Label, "none: the kernel searches every list"))
	}
	printWhyLists(t, w)
	t.Colored(guardStyle(w.Guard), "guard", "%s", w.Guard.Text)
	if !w.Vouched {
		t.Fact("next", "%s", w.Advice)
	}
}

// guardStyle is loud where the guard refuses, or would.
func guardStyle(v api.GuardVerdict) terminal.Style {
	switch {
	case v.Listed || v.Mode == api.GuardOff:
		return terminal.Plain
	case v.Runs:
		return terminal.Warn
	}
	return terminal.Bad
}

// printWhyLists prints the lists that know a file: the one that vouches, which comes
// first, or else the first few.
func printWhyLists(t *terminal.UI, w api.Why) {
	if len(w.Lists) == 0 && w.Owner != "" {
		t.Fact("package", "%s", terminal.Joined(w.Owner, w.OwnerState))
	}
	most := terminal.ShownLists
	if w.Vouched {
		most = 1
	}
	for _, l := range w.Lists[:min(most, len(w.Lists))] {
		state := l.State
		if l.Counter > 0 {
			state += ", activation " + strconv.FormatUint(l.Counter, 10)
		}
		t.Fact("package", "%s", l.NEVRA)
		t.Fact("list", "%s (%s)", l.List, state)
		name := "key"
		if w.Vouched {
			name = keyName(l.State)
		}
		t.Fact(name, "%s", keyOf(l.Key, l.KeyOwner))
	}
	if more := len(w.Lists) - most + int(w.More); more > 0 {
		t.Fact("also", "%s more; see --json", terminal.Count(more, "list", "lists"))
	}
}
