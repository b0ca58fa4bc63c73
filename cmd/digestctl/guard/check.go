// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/daemon/guard/preflight"
)

// mostExplained is how many findings digestd is asked about.
const mostExplained = 100

func (g *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: g.Prints(preflight.Report{}),
		Use:         "check",
		Short:       "Find what the guard would refuse",
		Long: `Check tests whether the kernel has everything the guard needs, and whether the self-test of digestd-guard
succeeded. It hashes the running programs, shells, package managers, login programs and their libraries, and
shows which of them the guard would refuse in mode enforce, why, and what to do. It exits with 3 if there is such
a file, or if a requirement is missing. To find programs that run only occasionally, use mode audit: see
digestctl guard denials. Check needs root, because only root can see all processes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g.Started = true
			c, err := g.dial(cmd.Context())
			if err != nil {
				return g.checkAlone(err)
			}
			defer c.Close()
			r, err := g.examine(cmd.Context(), c)
			if err != nil {
				return err
			}
			return g.showReport(r)
		},
	}
}

// machine is what is looked at.
func machine(c *protocol.Client) preflight.Machine {
	m := preflight.Machine{Proc: "/proc", Shells: "/etc/shells"}
	if c != nil {
		m.Listed = c.Listed
	}
	return m
}

// checkAlone says what the kernel lacks where digestd-guard does not answer.
func (g *app) checkAlone(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	r := preflight.Report{Conditions: machine(nil).Conditions(), Findings: []preflight.Finding{}}
	if r.Passed() {
		return err
	}
	return g.showReport(r)
}

// examine does all of a preflight.
func (g *app) examine(ctx context.Context, c *protocol.Client) (preflight.Report, error) {
	m := machine(c)
	s, err := c.Status(ctx)
	if err != nil {
		return preflight.Report{}, err
	}
	r, err := m.Examine(ctx)
	if err != nil {
		return r, err
	}
	// The guard is loaded, so the kernel has all that it needs.
	r.Conditions = append(r.Conditions, selfTest(s), compared(s))
	if c, found := m.Containers(); found {
		r.Conditions = append(r.Conditions, c)
	}
	g.explainFindings(ctx, &r)
	return r, nil
}

func selfTest(s protocol.Status) preflight.Condition {
	c := preflight.Condition{Name: "self-test", OK: s.Doubt == "", Text: "the guard is loaded and passed its self-test"}
	if !c.OK {
		c.Text, c.Advice = s.Doubt, "see journalctl -u digestd-guard"
	}
	return c
}

func compared(s protocol.Status) preflight.Condition {
	c := preflight.Condition{Name: "compared", OK: s.Commit != 0, Text: "its digests match the active lists"}
	if !c.OK {
		c.Text, c.Advice = "digestd has not compared its digests with the index yet", "start digestd, or: digestctl sync"
	}
	return c
}

// explainFindings completes findings by what lists say of them, if digestd answers.
func (g *app) explainFindings(ctx context.Context, r *preflight.Report) {
	if len(r.Findings) == 0 {
		return
	}
	d, err := client.Dial(ctx, g.Bus)
	if err != nil {
		return
	}
	defer d.Close()
	d.StartNothing()
	for i := range r.Findings[:min(len(r.Findings), mostExplained)] {
		f := &r.Findings[i]
		sum, err := hex.DecodeString(f.Digest)
		if err != nil || len(sum) == 0 {
			continue
		}
		why, err := d.WhyContent(ctx, f.Path, api.Content{Found: true, SHA256: sum})
		if err != nil {
			return
		}
		w := protocol.Denial{Reason: "unlisted", Digest: f.Digest}.Explain(why, false)
		f.Text, f.Advice = w.Text, w.Advice
	}
}

func (g *app) showReport(r preflight.Report) error {
	if !r.Passed() {
		g.Code = cli.ExitBad
	}
	if g.JSON {
		return g.UI.JSON(r)
	}
	for _, c := range r.Conditions {
		switch {
		case !c.OK:
			g.UI.Say(terminal.Bad, "%s: %s", c.Name, c.Text)
			g.UI.Fact("next", "%s", c.Advice)
		case c.Advice != "":
			g.UI.Say(terminal.Plain, "%s", c.Text)
			g.UI.Fact("next", "%s", c.Advice)
		}
	}
	switch {
	case r.Looked == 0:
		return nil
	case len(r.Findings) == 0:
		g.UI.Say(terminal.Good, "the guard would allow all %d files that are running or needed on every machine", r.Looked)
		return nil
	}
	g.UI.Say(terminal.Bad, "the guard would refuse %d of %d files", len(r.Findings), r.Looked)
	for _, f := range r.Findings {
		g.UI.Say(terminal.Plain, "%s: %s", f.Path, f.Why)
		g.UI.Fact("because", "%s", strings.TrimPrefix(f.Text, "not vouched for: "))
		g.UI.Fact("digest", "%s", f.Digest)
		g.UI.Fact("error", "%s", f.Error)
		g.UI.Fact("next", "%s", f.Advice)
	}
	g.UI.Say(terminal.Plain, "reinstall the package of the file, or make an own list: digestctl own add NAME FILE...")
	return nil
}
