// SPDX-License-Identifier: Apache-2.0

// Package advisories implements the verbs for the advisories of package repositories: they show
// how digestd applies them, and import floors from an updateinfo file.
package advisories

import (
	"context"
	"fmt"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Command is digestctl advisories.
func Command(a *cli.App) *cobra.Command {
	return cli.Group("advisories", "See and apply the security advisories of repositories",
		`Advisories shows what the security advisories of package repositories say of this machine
and what digestd does about it, and imports advisories from a file. digestd reads the
metadata that dnf and zypper keep on this disk whenever they refresh it; the setting
advisories in digestd.conf(5) says whether it reports, keeps older versions out, or also
withdraws lists.`,
		statusCommand(a), listCommand(a), showCommand(a), whyCommand(a), forgetCommand(a), importCommand(a))
}

func statusCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(api.AdvisoryStatus{}),
		Use:         "status",
		Short:       "Show which repositories' advisories are in use",
		Long: `Status shows how many installed packages a security advisory has a fix for, and the
repositories whose advisories digestd uses: why it believes each one, how old its metadata
is, and which keys sign its packages. Advisories apply only to packages that one of these
keys signed.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			st, err := c.AdvisoryStatus(ctx)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(st)
			}
			printStatus(a.UI, st)
			return nil
		}),
	}
}

func printStatus(t *terminal.UI, st api.AdvisoryStatus) {
	switch {
	case st.Mode == "off":
		t.Say(terminal.Plain, "advisories are not used: see advisories in digestd.conf(5)")
		return
	case st.Packages == 0:
		t.Say(terminal.Good, "no installed package is below a security advisory")
	default:
		var parts []string
		for _, s := range st.Severity {
			name := s.Severity
			if name == "" {
				name = "no severity"
			}
			parts = append(parts, fmt.Sprintf("%d %s", s.Packages, name))
		}
		t.Say(terminal.Warn, "%s below a security advisory: %s", terminal.Count(st.Packages, "installed package is", "installed packages are"), strings.Join(parts, ", "))
		t.Fact("fix", "%s", st.Mend)
	}
	t.Fact("mode", "%s", st.Mode)
	if st.Due > 0 {
		t.Fact("due", "%s to be withdrawn", terminal.Count(st.Due, "list is", "lists are"))
	}
	if st.Gone > 0 {
		t.Fact("withdrawn", "%s", terminal.Count(st.Gone, "list", "lists"))
	}
	if len(st.Origins) == 0 {
		t.Say(terminal.Plain, "no metadata of a repository is on this disk")
		return
	}
	rows := make([][]terminal.Cell, len(st.Origins))
	for i, o := range st.Origins {
		keys := terminal.Count(len(o.Keys), "key", "keys")
		style := terminal.Plain
		if len(o.Keys) == 0 {
			keys, style = "none: applies to nothing", terminal.Warn
		}
		rows[i] = []terminal.Cell{{Text: o.Repository}, {Text: terminal.Moment(o.Made)}, {Text: fmt.Sprint(o.Security)}, {Text: fmt.Sprint(o.Floors)}, {Text: keys, Style: style}, {Text: o.Strength}}
	}
	t.Table([]terminal.Column{{Title: "REPOSITORY"}, {Title: "METADATA OF"}, {Title: "SECURITY"}, {Title: "FLOORS"}, {Title: "KEYS"}, {Title: "BELIEVED"}}, rows)
	for _, o := range st.Origins {
		if o.Beyond > 0 {
			t.Say(terminal.Plain, "%s: %s ignored, with a version above what the repository offers", o.Repository, terminal.Count(o.Beyond, "package", "packages"))
		}
		if len(o.Epochs) > 0 {
			t.Say(terminal.Warn, "%s: ignored, with an epoch that nothing here has: %s", o.Repository, strings.Join(o.Epochs, ", "))
		}
	}
}

// listDocument is what advisories list prints for programs.
type listDocument struct {
	Packages []api.Advised `json:"packages"`
}

func listCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(listDocument{}),
		Use:         "list",
		Short:       "List installed packages that an advisory has a fix for",
		Long: `List prints the installed packages that are below a security advisory, the worst first,
with the version that has the fix, and the day on which digestd withdraws the list, if it
does.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			all, err := c.Advisories(ctx)
			if err != nil {
				return err
			}
			return cli.Listing[api.Advised]{Document: listDocument{all}, Items: all, Print: printAdvised,
				None: "no installed package is below a security advisory", Style: terminal.Good}.Show(a)
		}),
	}
}

func printAdvised(t *terminal.UI, all []api.Advised) {
	rows := make([][]terminal.Cell, len(all))
	for i, p := range all {
		state := terminal.Cell{Text: p.State}
		if !p.Due.IsZero() {
			state = terminal.Cell{Text: "withdrawn on " + p.Due.Local().Format("2006-01-02"), Style: terminal.Bad}
		}
		rows[i] = []terminal.Cell{{Text: p.Package}, {Text: p.Mended}, {Text: p.Severity}, state, {Text: p.Repository}, {Text: advisoryText(p.Advisory, p.CVEs)}}
	}
	t.Table([]terminal.Column{{Title: "PACKAGE"}, {Title: "FIXED IN"}, {Title: "SEVERITY"}, {Title: "LIST"}, {Title: "REPOSITORY"}, {Title: "ADVISORY"}}, rows)
}

func advisoryText(id string, cves []string) string {
	if len(cves) == 0 {
		return id
	}
	text := id + ": " + strings.Join(cves[:min(len(cves), terminal.ShownLists)], ", ")
	if more := len(cves) - terminal.ShownLists; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func whyCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(api.AdvisoryWhy{}),
		Use:         "why PACKAGE",
		Short:       "Explain what advisories say of a package",
		Long: `Why prints the advisories of each repository about a package, which is a name or name.arch, and
their effect. If digestd never withdraws the list of that package, it gives the reason.`,
		Args:              cli.Exactly("PACKAGE"),
		ValidArgsFunction: a.Asking(cli.PackageNames),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			why, err := c.AdvisoriesWhy(ctx, args[0])
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(why)
			}
			for _, v := range why.Versions {
				name := v.Package
				if v.Stream != "" {
					name += " of the module " + v.Stream
				}
				a.UI.Say(terminal.Plain, "%s below %s", name, v.EVR)
				a.UI.Fact("advisory", "%s", advisoryText(v.Advisory, v.CVEs))
				a.UI.Fact("severity", "%s", v.Severity)
				a.UI.Fact("repository", "%s, %s", v.Repository, v.Strength)
				a.UI.Fact("result", "%s", v.Effect)
			}
			if len(why.Installed) > 0 {
				printAdvised(a.UI, why.Installed)
				a.UI.Fact("fix", "%s", why.Mend)
			}
			for _, text := range why.Stays {
				a.UI.Say(terminal.Plain, "%s", text)
			}
			return nil
		}),
	}
}

// forgotten is what advisories forget prints for programs.
type forgotten struct {
	Repository string `json:"repository"`
}

func forgetCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(forgotten{}),
		Use:         "forget REPOSITORY --reason TEXT",
		Short:       "Forget what a repository's advisories said",
		Long: `Forget removes all floors that the advisories of a repository set. Lists that were
withdrawn for them return. digestd uses the advisories of that repository again when its
metadata changes; to stop that, disable the repository, or see advisories in
digestd.conf(5).`,
		Args:              cli.Exactly("REPOSITORY"),
		ValidArgsFunction: a.Asking(repositories),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.AdvisoriesForget(ctx, args[0], reason); err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(forgotten{args[0]})
			}
			a.UI.Say(terminal.Good, "the advisories of %s are forgotten", args[0])
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

// repositories are those whose advisories are in use.
func repositories(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	st, err := c.AdvisoryStatus(ctx)
	for _, o := range st.Origins {
		offers = append(offers, cobra.CompletionWithDesc(o.Repository, o.Strength))
	}
	return offers, err
}
