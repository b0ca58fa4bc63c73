// SPDX-License-Identifier: Apache-2.0

package advisories

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/feed"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/repo/cache"
	"github.com/digestd/digestd/repo/metadata"
	"github.com/spf13/cobra"
)

// showDocument is what advisories show prints for programs.
type showDocument struct {
	ID         string    `json:"id"` // the ID in the question
	Advisories []shown   `json:"advisories"`
	Failed     []problem `json:"failed"` // repositories that could not be read
}

// shown is an advisory of a repository.
type shown struct {
	Repository string         `json:"repository"`
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Severity   string         `json:"severity"`
	Issued     string         `json:"issued"`
	CVEs       []string       `json:"cves"`
	Packages   []shownPackage `json:"packages"`
	More       int            `json:"more"` // number of further packages
}

// shownPackage is a build with the fix.
type shownPackage struct {
	Package   string   `json:"package"`
	Installed []string `json:"installed"` // versions of it
	Below     bool     `json:"below"`     // an installed version lacks the fix
}

type problem struct {
	Repository string `json:"repository"`
	Error      string `json:"error"`
}

func showCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(showDocument{}),
		Use:         "show CVE|ADVISORY",
		Short:       "Show an advisory, or those about a CVE",
		Long: `Show looks an advisory or a CVE up in the metadata that dnf and zypper keep on this disk,
and prints which versions have the fix and whether this machine does. It reads the metadata
itself, with the rights of the user.`,
		Example: "  digestctl advisories show CVE-2022-3602",
		Args:    cli.Exactly("CVE|ADVISORY"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			doc, err := lookUp(ctx, c, args[0])
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(doc)
			}
			printShown(a.UI, doc)
			return nil
		}),
	}
}

// Reader is the hidden verb that reads repositories for show, in a process of its own.
func Reader(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: feed.Argument, Short: "Read the metadata of a repository, with no rights", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.Started = true
			return feed.Serve(os.Stdin, os.Stdout)
		},
	}
}

func lookUp(ctx context.Context, c *client.Client, id string) (doc showDocument, err error) {
	st, err := c.Status(ctx)
	if err != nil {
		return doc, err
	}
	installed := map[string][]nevra.EVR{}
	if _, err := c.Lists(ctx, "", 0, func(page []api.List) {
		for _, l := range page {
			if n, err := nevra.Parse(l.NEVRA); err == nil && l.State != api.StateQuarantined && !l.Grace {
				installed[n.Name+"."+n.Arch] = append(installed[n.Name+"."+n.Arch], n.EVR)
			}
		}
	}); err != nil {
		return doc, err
	}
	doc = showDocument{ID: id, Advisories: []shown{}, Failed: []problem{}}
	found, errs := cache.Find(st.Root)
	for _, err := range errs {
		doc.Failed = append(doc.Failed, problem{Error: err.Error()})
	}
	for _, r := range found {
		var said []shown
		err := search(ctx, r, id, func(s feed.Said) { said = append(said, describe(r.ID, s, installed)) })
		r.Close()
		if ctx.Err() != nil {
			return doc, ctx.Err()
		}
		if err != nil {
			doc.Failed = append(doc.Failed, problem{r.ID, err.Error()})
			continue
		}
		doc.Advisories = append(doc.Advisories, said...)
	}
	if len(doc.Advisories) == 0 {
		advice := "refresh the metadata: dnf makecache --refresh, or zypper refresh"
		if len(doc.Failed) > 0 {
			advice = "not all metadata could be read: " + doc.Failed[0].Error
		}
		return doc, &api.Error{Code: api.NotFound, Message: fmt.Sprintf("no advisory about %q is in the metadata on this disk", id), Advice: advice}
	}
	return doc, nil
}

func search(ctx context.Context, r *cache.Repository, id string, fn func(feed.Said)) error {
	data, _, err := r.Repomd(metadata.MaxRepomd)
	if err != nil {
		return err
	}
	m, err := feed.ReadRepomd(ctx, feed.Program, data)
	if err != nil {
		return err
	}
	files, err := feed.Open(r, m, feed.Updateinfo)
	defer func() {
		for _, f := range files {
			f.Open.Close()
		}
	}()
	if err != nil || len(files) == 0 {
		return err
	}
	return feed.Find(ctx, feed.Program, files, id, fn)
}

func describe(repository string, s feed.Said, installed map[string][]nevra.EVR) shown {
	out := shown{Repository: repository, ID: api.Clean(s.ID), Type: api.Clean(s.Type), Severity: api.Clean(s.Severity), Issued: api.Clean(s.Issued),
		CVEs: slices.Clone(s.CVEs), Packages: []shownPackage{}, More: s.More}
	for _, text := range s.Packages {
		n, err := nevra.Parse(text)
		if err != nil {
			continue
		}
		p := shownPackage{Package: n.String(), Installed: []string{}}
		for _, e := range installed[n.Name+"."+n.Arch] {
			p.Installed = append(p.Installed, e.String())
			p.Below = p.Below || nevra.Compare(e, n.EVR) < 0
		}
		out.Packages = append(out.Packages, p)
	}
	// Installed packages come first.
	slices.SortStableFunc(out.Packages, func(x, y shownPackage) int { return min(len(y.Installed), 1) - min(len(x.Installed), 1) })
	return out
}

func printShown(t *terminal.UI, doc showDocument) {
	for _, s := range doc.Advisories {
		t.Say(terminal.Plain, "%s", s.ID)
		t.Fact("repository", "%s", s.Repository)
		t.Fact("type", "%s", strings.TrimSpace(s.Type+" "+s.Severity))
		t.Fact("issued", "%s", s.Issued)
		t.Fact("CVEs", "%s", strings.Join(s.CVEs, ", "))
		rows := make([][]terminal.Cell, 0, len(s.Packages))
		others := s.More
		for _, p := range s.Packages {
			if len(p.Installed) == 0 {
				others++
				continue
			}
			fix := terminal.Cell{Text: "has the fix", Style: terminal.Good}
			if p.Below {
				fix = terminal.Cell{Text: "lacks the fix", Style: terminal.Bad}
			}
			rows = append(rows, []terminal.Cell{{Text: p.Package}, {Text: strings.Join(p.Installed, ", ")}, fix})
		}
		if len(rows) > 0 {
			t.Table([]terminal.Column{{Title: "FIXED IN"}, {Title: "INSTALLED"}, {Title: "THIS MACHINE"}}, rows)
		}
		if others > 0 {
			t.Fact("others", "%s that %s not installed", terminal.Count(others, "package", "packages"), map[bool]string{true: "is", false: "are"}[others == 1])
		}
	}
	for _, p := range doc.Failed {
		t.Say(terminal.Warn, "not read: %s: %s", p.Repository, p.Error)
	}
}
