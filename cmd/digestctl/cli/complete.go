// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/spf13/cobra"
)

// completeTime bounds how long completion waits for digestd.
const completeTime = 2 * time.Second

// Asking completes the first arguments of a verb by asking digestd, one question for each
// argument, for what begins with prefix. args are the previous arguments. If digestd does not
// answer, there is no completion.
func (a *App) Asking(questions ...func(ctx context.Context, c *client.Client, prefix string, args []string) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(questions) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completeTime)
		defer cancel()
		c, err := client.Dial(ctx, a.Bus)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		// A user who presses a key does not want to start digestd.
		c.StartNothing()
		offers, err := questions[len(args)](ctx, c, prefix, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return fit(offers, prefix), cobra.ShellCompDirectiveNoFileComp
	}
}

// fit removes duplicates and offers that a shell could evaluate.
func fit(offers []cobra.Completion, prefix string) []cobra.Completion {
	good := make([]cobra.Completion, 0, len(offers))
	for _, offer := range offers {
		word, about, described := strings.Cut(string(offer), "\t")
		if word == "" || !strings.HasPrefix(word, prefix) || strings.ContainsFunc(word, func(r rune) bool { return !harmless(r) }) {
			continue
		}
		if described {
			about = strings.Map(func(r rune) rune {
				if r == ' ' || r == '<' || r == '>' || harmless(r) {
					return r
				}
				return -1
			}, about)
			word = cobra.CompletionWithDesc(word, about)
		}
		good = append(good, word)
	}
	slices.Sort(good)
	return slices.Compact(good)
}

// harmless reports whether a character has no special meaning in any shell.
func harmless(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._+-:@^~%=/", r)
}

// globbed returns a pattern for texts that begin with prefix.
func globbed(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(prefix) + "*"
}

// PackageNames completes names of packages with lists, or their versions once a version is
// begun.
func PackageNames(ctx context.Context, c *client.Client, prefix string, _ []string) ([]cobra.Completion, error) {
	name := prefix
	for i := range len(prefix) - 1 {
		if prefix[i] == '-' && '0' <= prefix[i+1] && prefix[i+1] <= '9' {
			name = prefix[:i]
			break
		}
	}
	lists, err := someLists(ctx, c, globbed(name))
	var offers []cobra.Completion
	for _, l := range lists {
		n, err := nevra.Parse(l.NEVRA)
		switch {
		case err != nil:
		case strings.HasPrefix(n.Name, prefix):
			offers = append(offers, n.Name)
		case strings.HasPrefix(l.NEVRA, prefix):
			offers = append(offers, l.NEVRA)
		}
	}
	return offers, err
}

func someLists(ctx context.Context, c *client.Client, filter string) (lists []api.List, err error) {
	_, err = c.Lists(ctx, filter, api.MaxPage, func(page []api.List) { lists = append(lists, page...) })
	return lists, err
}

// OrFiles also offers files.
func OrFiles(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		offers, _ := complete(cmd, args, prefix)
		return offers, cobra.ShellCompDirectiveDefault
	}
}
