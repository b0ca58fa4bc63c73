// SPDX-License-Identifier: Apache-2.0

// Package man makes the manual of digestctl from its commands.
package man

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/manual"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command writes the manual pages; the Makefile runs it.
func Command(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages",
		Hidden: true,
		Args:   cli.Exactly("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Started = true
			for _, p := range append(Pages(a, cmd.Root()), Page(a, cmd.Root())) {
				if err := userfile.Write(filepath.Join(args[0], p.Name+".1"), p.Roff(), 0o644); err != nil {
					return fmt.Errorf("cannot write the manual pages: %w", err)
				}
			}
			return nil
		},
	}
}

// Page makes the manual page of the command tree.
func Page(a *cli.App, root *cobra.Command) *manual.Page {
	p := &manual.Page{Name: root.Name(), Number: 1, About: lowerFirst(root.Short)}
	p.Section("Synopsis")
	p.Literal("digestctl [--json] [--quiet] [--no-color] [--progress MODE] [--bus ADDRESS] [COMMAND [ARGUMENT...]]")
	p.Section("Description")
	p.Text(root.Long)
	p.Section("Options")
	flags(p, root.PersistentFlags())
	p.Section("Commands")
	commands(p, root)
	p.Section("Exit status")
	for _, e := range cli.ExitCodes {
		p.Item(fmt.Sprint(e.Code), e.Meaning)
	}
	p.Text("With several files, `why` exits with 3 if one that exists is not vouched for.")
	p.Section("Output for programs")
	p.Text("With `--json` a command prints one document on standard output. If the command fails, the document is " +
		"`{\"error\": Error}`, with the codes of org.digestd1(5), or Usage or Unreachable. Structs are those of org.digestd1(5), with the same " +
		"keys; times are in RFC 3339 form, durations in nanoseconds, bytes in base64. `digestctl schema VERB` prints the JSON Schema of " +
		"the documents; all schemas are in /usr/share/digestd/schema. Within a major version keys are added and never removed, none " +
		"changes its type, and one that is always there stays so: programs should ignore keys that they do not know.")
	documents(a, p, root)
	p.Section("Environment")
	p.Item("NO_COLOR", "If this is set, digestctl uses no colors. It uses colors only on a terminal.")
	p.Item("DIGESTCTL_PROGRESS", "How progress is shown if `--progress` does not say it: `bar` redraws a bar, `lines` prints a line for each stage and each tenth of it, as a screen reader "+
		"needs it, `none` shows nothing. `auto`, the default, is `bar` on a terminal, and a line for each stage elsewhere.")
	p.Item("TERM", "If this is `dumb`, digestctl uses no colors, and shows progress by lines.")
	p.Item("DBUS_SYSTEM_BUS_ADDRESS", "The address of the system bus.")
	p.Section("See also")
	var pages []string
	for _, v := range Pages(a, root) {
		pages = append(pages, v.Name+"(1)")
	}
	p.Text(strings.Join(pages, ", ") + ", digestd(8), digestd.conf(5), org.digestd1(5), rpm(8)")
	return p
}

// shown reports whether a command has a place in the manual.
func shown(c *cobra.Command) bool { return c.IsAvailableCommand() && c.Name() != "help" }

// grouped reports whether a command only holds others.
func grouped(c *cobra.Command) bool {
	_, group := c.Annotations[cli.GroupMark]
	return group
}

// commands adds what can be run, groups last in their own words.
func commands(p *manual.Page, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		switch {
		case !shown(c):
		case c.Name() == "completion":
			p.Subsection("completion bash|fish|zsh")
			p.Text("Completion prints a script that makes a shell complete the commands; see `--help` for how to load it.")
		case grouped(c):
			commands(p, c)
		default:
			p.Subsection(cli.VerbName(c) + strings.TrimPrefix(c.Use, c.Name()))
			described(p, c)
			commands(p, c)
		}
	}
}

// documents adds what the commands below one print for programs.
func documents(a *cli.App, p *manual.Page, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		document(a, p, c)
		documents(a, p, c)
	}
}

// document adds what a command itself prints for programs.
func document(a *cli.App, p *manual.Page, c *cobra.Command) {
	if types := a.Documents(c); types != nil {
		p.Item(cli.VerbName(c), shapes(types))
	}
}

// described adds what is to be said of one command.
func described(p *manual.Page, c *cobra.Command) {
	long(p, c.Long)
	flags(p, c.LocalNonPersistentFlags())
	if c.Example != "" {
		p.Literal(strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
}

// Pages are the pages of the verbs, each with those it holds.
func Pages(a *cli.App, root *cobra.Command) (pages []*manual.Page) {
	for _, c := range root.Commands() {
		if shown(c) && c.Name() != "completion" {
			pages = append(pages, verbPage(a, c))
		}
	}
	return pages
}

func verbPage(a *cli.App, c *cobra.Command) *manual.Page {
	p := &manual.Page{Name: c.Root().Name() + "-" + c.Name(), Number: 1, About: lowerFirst(c.Short)}
	p.Section("Synopsis")
	var lines []string
	for _, s := range append([]*cobra.Command{c}, c.Commands()...) {
		if shown(s) && !grouped(s) || s == c && !grouped(c) {
			lines = append(lines, c.Root().Name()+" "+cli.VerbName(s)+strings.TrimPrefix(s.Use, s.Name())+optional(s))
		}
	}
	p.Literal(strings.Join(lines, "\n"))
	p.Section("Description")
	described(p, c)
	if slices.ContainsFunc(c.Commands(), shown) {
		p.Section("Commands")
		commands(p, c)
	}
	p.Section("Output for programs")
	p.Text("With `--json`, on standard output; digestctl(1) says more.")
	document(a, p, c)
	documents(a, p, c)
	p.Section("Exit status")
	p.Text("As in digestctl(1): 0 for success, 3 if the answer is bad, others for failures.")
	p.Section("See also")
	p.Text("digestctl(1), digestd(8), org.digestd1(5)")
	return p
}

// optional are the flags that a synopsis has besides those its line names.
func optional(c *cobra.Command) string {
	var b strings.Builder
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden || strings.Contains(c.Use, "--"+f.Name) {
			return
		}
		b.WriteString(" [--" + f.Name)
		if value, _ := pflag.UnquoteUsage(f); value != "" {
			b.WriteString(" " + value)
		}
		b.WriteByte(']')
	})
	return b.String()
}

// long adds a description; a paragraph that is indented stays as it is.
func long(p *manual.Page, text string) {
	for part := range strings.SplitSeq(text, "\n\n") {
		if lines, indented := strings.CutPrefix(strings.Trim(part, "\n"), "  "); indented {
			p.Literal(strings.ReplaceAll(lines, "\n  ", "\n"))
			continue
		}
		p.Text(part)
	}
}

func flags(p *manual.Page, set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			term += " " + value
		}
		switch byDefault := strings.Trim(f.DefValue, "[]"); byDefault {
		case "", "0", "0s": // without the flag there is no value
		default:
			if value != "" {
				usage += "; default: " + byDefault
			}
		}
		p.Item(term, upperFirst(usage)+".")
	})
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
