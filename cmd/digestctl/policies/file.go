// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/policy/fleet"
	"github.com/spf13/cobra"
)

// checkedFile is what policy check prints of a file.
type checkedFile struct {
	File  string           `json:"file"`
	Name  string           `json:"name"`
	Rules []api.PolicyRule `json:"rules,omitempty"`
	Line  int              `json:"line,omitempty"`  // line of the error
	Key   string           `json:"key,omitempty"`   // key of the error
	Error string           `json:"error,omitempty"` // "" if the file has no error
}

// checkedDocument is what policy check prints for programs.
type checkedDocument struct {
	Files []checkedFile `json:"files"`
}

func checkCommand(a *cli.App) *cobra.Command {
	var own bool
	cmd := &cobra.Command{
		Annotations: a.Prints(checkedDocument{}),
		Use:         "check FILE...",
		Short:       "Check policy files before they are released",
		Long: `Check reads policy files as digestd does, and names the line and key of each error. It
asks no digestd, so it also runs where packages are built. The effect of a file
also depends on the machine: see docs/fleet.md. With --own it
checks a file as one of /etc/digestd/policy.d, which may have certificates.

It exits with 3 if a file has an error, and with 4 if there is no such file.`,
		Example: "  digestctl policy check policies/*.toml",
		Args:    cli.AtLeast("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Started = true
			doc := checkedDocument{Files: []checkedFile{}}
			for _, path := range args {
				one, _, err := readFile(cmd.Context(), path, own)
				if err != nil {
					return err
				}
				if one.Error != "" {
					a.Code = cli.ExitBad
				}
				doc.Files = append(doc.Files, one)
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			for _, one := range doc.Files {
				if one.Error != "" {
					a.UI.Say(terminal.Bad, "%s: %s", one.File, one.Error)
					continue
				}
				a.UI.Say(terminal.Good, "%s has %s", one.File, terminal.Count(len(one.Rules), "rule", "rules"))
				if len(one.Rules) > 0 {
					showRules(a.UI, one.Rules)
				}
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
	cmd.Flags().BoolVar(&own, "own", false, "check it as a file of /etc/digestd/policy.d")
	return cmd
}

// readFile reads a policy file. The description names the mistakes in it; an error means that
// it could not be read.
func readFile(ctx context.Context, path string, own bool) (one checkedFile, p *fleet.Policy, err error) {
	name := strings.TrimSuffix(filepath.Base(path), fleet.Suffix)
	one = checkedFile{File: path, Name: name}
	data, err := userfile.ReadBounded(ctx, path, fleet.MaxSize)
	if err != nil {
		return one, nil, err
	}
	bad := fleet.CheckName(name)
	if !strings.HasSuffix(path, fleet.Suffix) {
		bad = fmt.Errorf("its name does not end with %s", fleet.Suffix)
	}
	if bad == nil {
		p, bad = fleet.Parse(data, own)
	}
	var told *fleet.Error
	switch {
	case errors.As(bad, &told):
		one.Line, one.Key, one.Error = told.Line, told.Key, told.Error()
	case bad != nil:
		one.Error = bad.Error()
	default:
		one.Rules = rulesOf(p.Rules())
	}
	return one, p, nil
}

func rulesOf(rules []fleet.Rule) []api.PolicyRule {
	out := make([]api.PolicyRule, len(rules))
	for i, w := range rules {
		out[i] = api.PolicyRule{Kind: w.Kind, What: w.What, Says: w.Says, Reason: w.Reason, Tightens: w.Tightens}
	}
	return out
}

// diffDocument is what policy diff prints for programs.
type diffDocument struct {
	Ends    []api.PolicyRule `json:"ends"`    // rules that end
	Begins  []api.PolicyRule `json:"begins"`  // rules that begin
	Changes []changedRule    `json:"changes"` // rules that change
}

// changedRule is a rule before and after a change.
type changedRule struct {
	Was api.PolicyRule `json:"was"`
	Is  api.PolicyRule `json:"is"`
}

func diffCommand(a *cli.App) *cobra.Command {
	var own bool
	cmd := &cobra.Command{
		Annotations: a.Prints(diffDocument{}),
		Use:         "diff [OLD] NEW",
		Short:       "Say what a policy file changes",
		Long: `Diff compares two policy files, or a file with the policy of the same name that is in
force on this machine, and prints the rules that end, begin or change. An upgrade
replaces all rules of the former file, also floors, denials and revocations.`,
		Example: "  digestctl policy diff base.toml\n  digestctl policy diff old/base.toml base.toml",
		Args:    cli.AtLeast("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return fmt.Errorf("policy diff does not take %q", args[2])
			}
			a.Started = true
			is, err := rulesIn(cmd.Context(), args[len(args)-1], own)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				was, err := rulesIn(cmd.Context(), args[0], own)
				if err != nil {
					return err
				}
				return diff(a, was, is)
			}
			return a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
				p, err := c.Policy(ctx, strings.TrimSuffix(filepath.Base(args[0]), fleet.Suffix))
				var told *api.Error
				if errors.As(err, &told) && told.Code == api.NotFound {
					p, err = api.Policy{}, nil // all rules are new
				}
				if err != nil {
					return err
				}
				var was []fleet.Rule
				for _, w := range p.Rules {
					was = append(was, fleet.Rule{Kind: w.Kind, What: w.What, Says: w.Says, Reason: w.Reason, Tightens: w.Tightens})
				}
				return diff(a, was, is)
			})(cmd, args)
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
	cmd.Flags().BoolVar(&own, "own", false, "read files as those of /etc/digestd/policy.d")
	return cmd
}

// rulesIn returns what a file says that must be right.
func rulesIn(ctx context.Context, path string, own bool) ([]fleet.Rule, error) {
	one, p, err := readFile(ctx, path, own)
	if err == nil && one.Error != "" {
		err = &api.Error{Code: api.InvalidArgument, Message: "cannot read " + path + ": " + one.Error, Advice: "fix it, then: digestctl policy check " + path}
	}
	if err != nil {
		return nil, err
	}
	return p.Rules(), nil
}

func diff(a *cli.App, was, is []fleet.Rule) error {
	doc := diffDocument{Ends: []api.PolicyRule{}, Begins: []api.PolicyRule{}, Changes: []changedRule{}}
	changes := fleet.Diff(was, is)
	for _, c := range changes {
		switch {
		case c.Is == nil:
			doc.Ends = append(doc.Ends, rulesOf([]fleet.Rule{*c.Was})...)
		case c.Was == nil:
			doc.Begins = append(doc.Begins, rulesOf([]fleet.Rule{*c.Is})...)
		default:
			both := rulesOf([]fleet.Rule{*c.Was, *c.Is})
			doc.Changes = append(doc.Changes, changedRule{both[0], both[1]})
		}
	}
	if a.JSON {
		return a.UI.JSON(doc)
	}
	if len(changes) == 0 {
		a.UI.Say(terminal.Plain, "it says the same")
	}
	for _, c := range changes {
		switch {
		case c.Is == nil:
			a.UI.Say(terminal.Plain, "ends    %s", c.Was)
		case c.Was == nil:
			a.UI.Say(terminal.Plain, "begins  %s (%s)", c.Is, c.Is.Reason)
		case c.Was.Says != c.Is.Says:
			a.UI.Say(terminal.Plain, "changes %s, which was %s", c.Is, c.Was.Says)
		default:
			a.UI.Say(terminal.Plain, "changes %s: its reason is %q", c.Is, c.Is.Reason)
		}
	}
	return nil
}
