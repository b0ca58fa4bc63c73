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
	Candidates []api.GuardCandidate `json:"candidates"` // files that were not learned
	Learned    []api.GuardCandidate `json:"learned"`
	Result     api.OwnResult        `json:"result"` // the list that has the learned files
}

func (g *app) learnCommand() *cobra.Command {
	list, reason := defaultList, ""
	cmd := &cobra.Command{
		Annotations: g.Prints(learnDocument{}),
		Use:         "learn [PATH|DIGEST...]",
		Short:       "Vouch for files that the guard refused",
		Long: `Learn adds files that the guard refused, or in mode audit would have refused, to an own list, so that they may
run. Without arguments it shows each file with its owner, the user who ran it and the time of the first refusal, and
asks for each one whether to learn it, if standard input is a terminal. With arguments it learns only the files that
were refused at these paths or have these digests. You cannot learn all of them with one answer.

Learn never accepts a file if users other than root can write to it or to its directory, if a package owns the path
with different content, or if the content is denied or withheld: it shows such files with the right remedy, such as
reinstalling a package. digestd reads each file again, and learns nothing if one of them has changed.

It exits with 3 if it did not learn some of the refused files.`,
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
	cmd.Flags().StringVar(&list, "list", list, "add them to the own list `NAME`")
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
			return &api.Error{Code: api.NotFound, Message: "the guard refused no file called " + name + " for lack of a list", Advice: "see digestctl guard learn"}
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
	fmt.Fprint(g.UI.Err, "  let it run in future? [y/N] ")
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
		g.UI.Say(terminal.Good, "the guard refused no file for lack of a list")
	case len(doc.Learned) > 0:
		g.UI.Say(terminal.Good, "%s may run now: own list %s, version %d", terminal.Count(len(digestsOf(doc.Learned)), "content", "contents"), r.Name, r.Version)
	case slices.ContainsFunc(all, func(c api.GuardCandidate) bool { return c.Learnable }):
		g.UI.Say(terminal.Plain, "no file was learned; name the files that may run: digestctl guard learn PATH...")
	default:
		g.UI.Say(terminal.Plain, "none of these files can be learned")
	}
}
