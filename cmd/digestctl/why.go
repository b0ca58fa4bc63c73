// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"strconv"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// whyDocument is what why prints for programs.
type whyDocument struct {
	Why []api.Why `json:"why"`
}

func (a *app) whyCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(whyDocument{}),
		Use:         "why PATH...",
		Short:       "Say whether files are vouched for, by what, or exactly why not",
		Long: `Why says of each file whether it is vouched for: by which list, package, version
and key; or exactly why not, and what to do about it. For root digestd reads the
file; for others digestctl does, with the rights of its user. Files that the kernel
makes up, as in /proc, are read for nobody.

It exits with 0 when every file is vouched for, with 3 when one is not, and with 4
when there is no such file.`,
		Example: "  digestctl why /usr/bin/ls\n  digestctl why --json ./a ./b",
		Args:    atLeast("PATH"),
		RunE: a.verb(func(ctx context.Context, c *client.Client, args []string) error {
			doc := whyDocument{Why: make([]api.Why, 0, len(args))}
			for _, arg := range args {
				path, err := absolute(arg)
				if err != nil {
					return err
				}
				why, err := c.Ask(ctx, path)
				if err != nil {
					return err
				}
				doc.Why = append(doc.Why, why)
				if !a.json {
					a.tui.why(arg, why)
				}
			}
			a.code = whyCode(doc.Why)
			if a.json {
				return a.tui.json(doc)
			}
			return nil
		}),
	}
}

// whyCode is the exit code for several answers: the one an administrator must
// look at wins.
func whyCode(list []api.Why) int {
	code := exitOK
	for _, w := range list {
		switch {
		case w.Vouched:
		case w.Verdict == api.VerdictMissing:
			code = max(code, exitNoFile)
		default:
			return exitBad
		}
	}
	return code
}

// why prints the answer, then why, then the facts, then what to do.
func (t *tui) why(arg string, w api.Why) {
	style := bad
	if w.Vouched {
		style = good
	}
	t.say(style, "%s: %s", arg, w.Text)
	if !w.Vouched {
		for _, r := range w.Reasons {
			t.fact("because", "%s", without(w.Owner, r))
		}
	}
	if w.RealPath != "" && w.RealPath != w.Path {
		t.fact("file", "%s", w.RealPath)
	}
	t.fact("content", "%s", withAlgo(w.Algo, w.Digest))
	for _, l := range w.Lists {
		t.fact("expected", "%s", withAlgo(w.Algo, l.Expected))
	}
	if w.Digest != "" {
		t.fact("label", "%s", cmp.Or(w.Label, "none: the kernel looks in every list"))
	}
	t.whyLists(w)
	if !w.Vouched {
		t.fact("next", "%s", w.Advice)
	}
}

// whyLists prints the lists that know a file: the one that vouches, which comes
// first, or else the first few.
func (t *tui) whyLists(w api.Why) {
	if len(w.Lists) == 0 && w.Owner != "" {
		t.fact("package", "%s", joined(w.Owner, w.OwnerState))
	}
	most := shownLists
	if w.Vouched {
		most = 1
	}
	for _, l := range w.Lists[:min(most, len(w.Lists))] {
		state := l.State
		if l.Counter > 0 {
			state += ", activation " + strconv.FormatUint(l.Counter, 10)
		}
		t.fact("package", "%s", l.NEVRA)
		t.fact("list", "%s (%s)", l.List, state)
		name := "key"
		if w.Vouched {
			name = keyName(l.State)
		}
		t.fact(name, "%s", keyOf(l.Key, l.KeyOwner))
	}
	if more := len(w.Lists) - most + int(w.More); more > 0 {
		t.fact("also", "in %s more; see --json", count(more, "list", "lists"))
	}
}
