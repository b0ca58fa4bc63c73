// SPDX-License-Identifier: Apache-2.0

// Package policies implements the verbs for policy files: they show the policies in force,
// check and compare files, and build a package of a directory of them.
package policies

import (
	"context"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Command is digestctl policy.
func Command(a *cli.App) *cobra.Command {
	return cli.Group("policy", "Show, check and build policy files for many machines",
		`Policy files say in TOML what holds on many machines: floors, denials, revoked keys,
exemptions and protected packages. A file below /usr/lib/digestd/policy.d comes with a
package and counts while an active list vouches for its content and one of the keys
of policy-signers (digestd.conf) signed the package. Files in /etc/digestd/policy.d are
the administrator's own, and may also have certificates for own lists.`,
		showCommand(a), checkCommand(a), diffCommand(a), buildCommand(a), forgetCommand(a))
}

// policiesDocument is what policy show prints for programs.
type policiesDocument struct {
	Policies []api.Policy `json:"policies"`
}

func showCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(policiesDocument{}),
		Use:         "show [NAME]",
		Short:       "Show the policies and their rules",
		Long: `Show lists the policies: those in force, those that lapsed because their file does
not count any more, and files that digestd ignores, with the reason. With NAME it shows
that policy with all its rules on this machine. The column STAYS shows which rules stay in
force after the file is removed, until an administrator runs digestctl policy forget.

It exits with 3 if a policy file should count but does not.`,
		Args:              cli.AtMost("NAME"),
		ValidArgsFunction: a.Asking(names),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			var doc policiesDocument
			var err error
			if len(args) == 1 {
				var p api.Policy
				p, err = c.Policy(ctx, args[0])
				doc.Policies = []api.Policy{p}
			} else if doc.Policies, err = c.Policies(ctx); doc.Policies == nil {
				doc.Policies = []api.Policy{}
			}
			if err != nil {
				return err
			}
			for _, p := range doc.Policies {
				if p.State != api.PolicyLapsed && p.Why != "" {
					a.Code = cli.ExitBad
				}
			}
			switch {
			case a.JSON:
				return a.UI.JSON(doc)
			case len(args) == 1:
				showPolicy(a.UI, doc.Policies[0])
			case len(doc.Policies) == 0:
				a.UI.Say(terminal.Plain, "there is no policy")
			default:
				showPolicies(a.UI, doc.Policies)
			}
			return nil
		}),
	}
}

func showPolicies(t *terminal.UI, all []api.Policy) {
	rows := make([][]terminal.Cell, len(all))
	for i, p := range all {
		from := p.Package
		if from == "" {
			from = p.Path
		}
		since := ""
		if !p.Since.IsZero() {
			since = terminal.Moment(p.Since)
		}
		rows[i] = []terminal.Cell{{Text: p.Name}, {Text: p.State, Style: style(p)}, {Text: since}, {Text: from}, {Text: p.Why}}
	}
	t.Table([]terminal.Column{{Title: "NAME"}, {Title: "STATE"}, {Title: "SINCE"}, {Title: "FROM"}, {Title: "WHY"}}, rows)
}

func style(p api.Policy) terminal.Style {
	switch {
	case p.State == api.PolicyInForce && p.Why == "":
		return terminal.Good
	case p.State == api.PolicyLapsed:
		return terminal.Plain
	}
	return terminal.Warn
}

func showPolicy(t *terminal.UI, p api.Policy) {
	t.Say(style(p), "%s: %s", p.Name, p.State)
	t.Fact("about", "%s", p.Description)
	t.Fact("file", "%s", p.Path)
	t.Fact("package", "%s", p.Package)
	t.Fact("signed by", "%s", p.Key)
	if !p.Since.IsZero() {
		t.Fact("since", "%s", terminal.Moment(p.Since))
	}
	t.Fact("effect", "%s", p.Effect)
	if !p.Gone.IsZero() {
		t.Fact("lapsed", "%s", terminal.Moment(p.Gone))
	}
	t.Fact("why", "%s", p.Why)
	if p.State == api.PolicyLapsed {
		t.Fact("next", "digestctl policy forget %s --reason WHY", p.Name)
	}
	if len(p.Rules) > 0 {
		showRules(t, p.Rules)
	}
}

func showRules(t *terminal.UI, rules []api.PolicyRule) {
	rows := make([][]terminal.Cell, len(rules))
	for i, w := range rules {
		stays := "no"
		if w.Tightens {
			stays = "yes"
		}
		rows[i] = []terminal.Cell{{Text: w.Kind}, {Text: w.What}, {Text: w.Says}, {Text: stays}, {Text: w.Reason}}
	}
	t.Table([]terminal.Column{{Title: "KIND"}, {Title: "WHAT"}, {Title: "SAYS"}, {Title: "STAYS"}, {Title: "WHY"}}, rows)
}

func forgetCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(policiesDocument{}),
		Use:         "forget NAME --reason TEXT",
		Short:       "Lift what stayed of a policy whose file is gone",
		Long: `Forget lifts the floors, denials and revocations that stayed in force after the file of a
policy was removed or stopped counting. To end a policy that is in force, first remove its
package or file.`,
		Example:           "  digestctl policy forget base --reason 'the fleet has another policy'",
		Args:              cli.Exactly("NAME"),
		ValidArgsFunction: a.Asking(lapsed),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			p, err := c.PolicyForget(ctx, args[0], reason)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(policiesDocument{[]api.Policy{p}})
			}
			a.UI.Say(terminal.Good, "%s says nothing here any more", p.Name)
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

// names are those of all policies.
func names(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	return offered(ctx, c, func(api.Policy) bool { return true })
}

// lapsed are those that can be forgotten.
func lapsed(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	return offered(ctx, c, func(p api.Policy) bool { return p.State == api.PolicyLapsed })
}

func offered(ctx context.Context, c *client.Client, wanted func(api.Policy) bool) (offers []cobra.Completion, err error) {
	all, err := c.Policies(ctx)
	for _, p := range all {
		if wanted(p) {
			offers = append(offers, cobra.CompletionWithDesc(p.Name, p.State))
		}
	}
	return offers, err
}
