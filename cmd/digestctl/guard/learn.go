// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// defaultList is the own list that learned contents become part of.
const defaultList = "learned"

// learnDocument is what learn prints for programs.
type learnDocument struct {
	Candidates []api.GuardCandidate `json:"candidates"` // that were not learned, or cannot be
	Learned    []api.GuardCandidate `json:"learned"`
	Result     api.OwnResult        `json:"result"` // of the list that they are part of now
}

func (g *app) learnCommand() *cobra.Command {
	list, reason := defaultList, ""
	cmd := &cobra.Command{
		Annotations: cli.Prints(learnDocument{}),
		Use:         "learn [PATH|DIGEST...]",
		Short:       "Vouch for contents that the guard refused",
		Long: `Learn makes contents that the guard refused, or in mode audit would have refused, part of
an own list, so that they may run. Without arguments it shows each of them: who owns the file, which user ran
it, and when that was first; and asks about each that may be learned, where somebody sits at a terminal to answer. With arguments it learns the
contents that were refused at these paths, or that have these digests, and no others. There is no way to
learn all of them at once.

It never learns a file that others than root can write, nor one in a directory that they can, nor a content other than
that which a package brought to the path, nor what is denied or withheld: these it shows with what to do instead,
such as to install a package anew. digestd reads each file again, and learns nothing if one of them is another by now.

It exits with 3 when something is left that was refused and not learned.`,
		Example: "  sudo digestctl guard learn\n  sudo digestctl guard learn /usr/local/bin/backup --reason 'our backups'",
		Args:    cobra.ArbitraryArgs,
		RunE: g.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			all, err := c.GuardCandidates(ctx)
			if err != nil {
				return err
			}
			slices.Reverse(all) // the latest first
			doc := learnDocument{Candidates: []api.GuardCandidate{}, Learned: []api.GuardCandidate{}}
			if len(args) > 0 {
				err = g.choose(all, args, &doc)
			} else {
				err = g.askEach(ctx, all, &doc)
			}
			if err != nil {
				return err
			}
			if len(doc.Learned) > 0 {
				if doc.Result, err = c.GuardLearn(ctx, list, digestsOf(doc.Learned), reason, func(string, uint64, uint64) {}); err != nil {
					return err
				}
			}
			if len(doc.Candidates) > 0 {
				g.Code = cli.ExitBad
			}
			if g.JSON {
				return g.UI.JSON(doc)
			}
			g.printLearned(all, doc)
			return nil
		}),
	}
	cmd.Flags().StringVar(&list, "list", list, "make them part of the own list `NAME`")
	cmd.RegisterFlagCompletionFunc("list", cobra.NoFileCompletions)
	cli.OptionalReason(cmd, &reason)
	return cmd
}

// digestsOf are the digests of candidates, once each: a content may have been refused in
// several ways.
func digestsOf(list []api.GuardCandidate) (digests []string) {
	for _, c := range list {
		if !slices.Contains(digests, c.Denial.Digest) {
			digests = append(digests, c.Denial.Digest)
		}
	}
	return digests
}

// choose takes the candidates that a command line names.
func (g *app) choose(all []api.GuardCandidate, names []string, doc *learnDocument) error {
	for _, name := range names {
		at := slices.IndexFunc(all, func(c api.GuardCandidate) bool { return named(c, name) })
		if at < 0 {
			return &api.Error{Code: api.NotFound, Message: "the guard refused nothing called " + name + " for want of a list", Advice: "see digestctl guard learn"}
		}
		if c := all[at]; !c.Learnable {
			return &api.Error{Code: api.Failed, Message: "cannot learn " + name + ": " + c.Text, Advice: c.Advice}
		}
		doc.Learned = append(doc.Learned, all[at])
	}
	return nil
}

// named reports whether a candidate is what a word of the command line means. Of a path the
// latest content counts.
func named(c api.GuardCandidate, name string) bool {
	return strings.TrimPrefix(strings.ToLower(name), "sha256:") == c.Denial.Digest || name == terminal.PathOf(c.Denial.Path, c.Denial.RawPath)
}

// askEach shows each candidate, and asks about those that may be learned.
func (g *app) askEach(ctx context.Context, all []api.GuardCandidate, doc *learnDocument) error {
	asks := terminal.Is(os.Stdin) && !g.JSON && !g.Quiet
	lines := bufio.NewReader(os.Stdin)
	for _, c := range all {
		if !g.JSON {
			g.printCandidate(c)
		}
		learn := false
		if asks && c.Learnable {
			var err error
			if learn, err = g.yes(ctx, lines); err != nil {
				return err
			}
		}
		if learn {
			doc.Learned = append(doc.Learned, c)
		} else {
			doc.Candidates = append(doc.Candidates, c)
		}
	}
	return nil
}

// yes asks the person at the terminal.
func (g *app) yes(ctx context.Context, lines *bufio.Reader) (bool, error) {
	fmt.Fprint(g.UI.Err, "  let it run from now on? [y/N] ")
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := lines.ReadString('\n')
		got <- answer{strings.ToLower(strings.TrimSpace(line)), err}
	}()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case a := <-got:
		if a.err != nil && a.err != io.EOF {
			return false, fmt.Errorf("cannot read an answer: %w", a.err)
		}
		return a.line == "y" || a.line == "yes", nil
	}
}

func (g *app) printCandidate(c api.GuardCandidate) {
	style := terminal.Warn
	if !c.Learnable {
		style = terminal.Bad
	}
	g.UI.Say(style, "%s: %s", nameOf(c.Denial), strings.TrimPrefix(c.Text, "not vouched for: "))
	if c.Exists {
		g.UI.Fact("owner", "%s, mode %04o", terminal.UserName(c.UID), c.Mode)
	}
	by := c.Denial.By
	unit := ""
	if by.Unit != "" {
		unit = " of " + by.Unit
	}
	g.UI.Fact("run by", "%s, as %s (PID %d)%s", terminal.UserName(by.UID), by.Command, by.PID, unit)
	g.UI.Fact("first seen", "%s, %s since", c.Denial.First.Local().Format(time.DateTime), terminal.Count(int(min(c.Denial.Count, 1<<31)), "time", "times"))
	g.UI.Fact("digest", "%s", c.Denial.Digest)
	g.UI.Fact("next", "%s", c.Advice)
}

func (g *app) printLearned(all []api.GuardCandidate, doc learnDocument) {
	switch r := doc.Result; {
	case len(all) == 0:
		g.UI.Say(terminal.Good, "the guard refused nothing for want of a list")
	case len(doc.Learned) > 0:
		g.UI.Say(terminal.Good, "%s may run now: own list %s, version %d", terminal.Count(len(digestsOf(doc.Learned)), "content", "contents"), r.Name, r.Version)
	case slices.ContainsFunc(all, func(c api.GuardCandidate) bool { return c.Learnable }):
		g.UI.Say(terminal.Plain, "nothing was learned; name what may run: digestctl guard learn PATH...")
	default:
		g.UI.Say(terminal.Plain, "none of these can be learned")
	}
}
