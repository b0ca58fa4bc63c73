// SPDX-License-Identifier: Apache-2.0

// Package query implements the verbs that ask digestd and change nothing.
package query

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Status is digestctl status.
func Status(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(api.Status{}),
		Use:         "status",
		Short:       "Show the state of digestd and its problems",
		Long: `Status shows the problems that need attention, then the state of digestd. It is also
what digestctl does without a command.

It exits with 0 if there is no problem and with 3 if there are errors or warnings.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if st.State != api.Healthy {
				a.Code = cli.ExitBad
			}
			if a.JSON {
				return a.UI.JSON(st)
			}
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			printStatus(a.UI, st, keys, time.Now())
			return nil
		}),
	}
}

// modes says what each mode does to an older version.
var modes = map[string]string{
	"enforce":  "older versions are refused",
	"withhold": "older versions get no list",
	"audit":    "older versions are only reported",
}

// printStatus prints what needs somebody before what is as it should be.
func printStatus(t *terminal.UI, st api.Status, keys []api.Key, now time.Time) {
	printHeadline(t, st)
	for _, p := range st.Problems {
		t.Say(severityStyle(p.Severity), "%s: %s", p.Severity, p.Text)
		t.Fact("next", "%s", p.Advice)
	}
	if st.Waiting {
		t.Fact("lists", "stay as they are, in %s", st.ListDirectory)
		t.Fact("running", "since %s", terminal.Moment(st.Since))
		return
	}
	if st.Transaction {
		t.Fact("now", "a package transaction is in progress")
	}
	t.Fact("mode", "%s", terminal.Joined(st.Mode, modes[st.Mode]))
	t.Colored(countsStyle(st.Lists), "lists", "%s", listCounts(st))
	t.Fact("", "in %s, format %s, signature %s", st.ListDirectory, st.Format, st.Sign)
	t.Fact("files", "%d vouched for", st.Files)
	t.Fact("verified", "%s", verified(st.Verified))
	t.Fact("packages", "%s", packages(st))
	if st.Root != "/" {
		t.Fact("root", "%s", st.Root)
	}
	printStatusKeys(t, st.Keys, keys)
	if cert := st.Certificate; cert.Path != "" {
		t.Fact("signer", "%s", cert.Path)
		t.Colored(endStyle(cert.NotAfter, now), "", "key ID %s, valid until %s", cert.SKI, cert.NotAfter.Local().Format(time.DateOnly))
	}
	if st.FIPS != "" {
		t.Fact("crypto", "FIPS 140-3 mode, module %s", st.FIPS)
	}
	printStatusKernel(t, st.Kernel)
	printStatusGuard(t, st.Guard)
	printStatusAnchor(t, st.Anchor)
	printStatusDeployment(t, st.Deployment)
	printStatusFleet(t, st, now)
	if sync := st.LastSync; !sync.When.IsZero() {
		t.Fact("last sync", "%s, %s in %s", terminal.Moment(sync.When), terminal.Count(sync.Installed, "package", "packages"), terminal.Seconds(sync.Duration))
	}
	t.Fact("running", "since %s", terminal.Moment(st.Since))
}

// printStatusDeployment prints which of several installed systems the machine is running.
func printStatusDeployment(t *terminal.UI, d api.Deployment) {
	if d.ID == "" {
		return
	}
	t.Fact("deployment", "%s", d.Name)
	style, text := deploymentState(d)
	t.Colored(style, "", "%s", text)
}

// deploymentState says since when a deployment runs, and what is the matter with it.
func deploymentState(d api.Deployment) (terminal.Style, string) {
	style, text := terminal.Plain, "since "+terminal.Moment(d.Since)
	if d.Former != "" {
		text += ", " + d.Former + " before"
	}
	switch {
	case !d.Compared:
		style, text = terminal.Warn, text+"; not compared yet"
	case d.Older > 0:
		style, text = terminal.Warn, text+fmt.Sprintf("; %s than what was active here", terminal.Count(d.Older, "package is older", "packages are older"))
	}
	return style, text
}

// printStatusFleet prints what policy files and repositories say, where there are any.
func printStatusFleet(t *terminal.UI, st api.Status, now time.Time) {
	if n := st.Policies; n != (api.PolicyCounts{}) {
		style, text := policyCounts(n)
		t.Colored(style, "policies", "%s; see: digestctl policy show", text)
	}
	if m := st.Metadata; !m.Made.IsZero() {
		t.Fact("metadata", "of repository %s, the oldest with advisories: %s", m.Repository, terminal.Count(int(now.Sub(m.Made).Hours()/24), "day", "days"))
	}
}

// policyCounts says what became of policy files.
func policyCounts(n api.PolicyCounts) (terminal.Style, string) {
	style, text := terminal.Plain, fmt.Sprintf("%d in force, %d of them from packages", n.InForce, n.Packaged)
	if n.Lapsed > 0 {
		text += fmt.Sprintf(", %d gone", n.Lapsed)
	}
	if n.Refused > 0 {
		style, text = terminal.Warn, text+fmt.Sprintf(", %d refused", n.Refused)
	}
	return style, text
}

// shownKeys is how many keys are named: distributions have few, and some machines
// have them all.
const shownKeys = 4

// printStatusKeys names the keys that vouch, and those that no longer do though there
// are packages of theirs.
func printStatusKeys(t *terminal.UI, trusted, all []api.Key) {
	if len(trusted) == 0 {
		t.Colored(terminal.Bad, "keys", "none: digestd cannot vouch for any package; import a key: rpmkeys --import FILE")
	}
	name := "keys"
	for _, k := range trusted[:min(len(trusted), shownKeys)] {
		t.Fact(name, "%s", keyLine(k))
		name = ""
	}
	if more := len(trusted) - shownKeys; more > 0 {
		t.Fact("", "and %d more; see: digestctl keys", more)
	}
	for _, k := range all {
		if k.Use == "" && k.State == api.KeyRevoked && k.Withheld > 0 {
			t.Colored(terminal.Bad, "revoked", "%s: %s withheld; see: digestctl keys show %s", cmp.Or(k.Owner, k.Fingerprint), terminal.Count(k.Withheld, "list is", "lists are"), k.Fingerprint)
		}
	}
}

func printHeadline(t *terminal.UI, st api.Status) {
	if st.State == api.Healthy {
		t.Say(terminal.Good, "digestd %s has no problems: %s", st.Version, vouched(st))
		return
	}
	errors := 0
	for _, p := range st.Problems {
		if p.Severity != api.SeverityNotice {
			errors++
		}
	}
	t.Say(terminal.Bad, "digestd %s needs attention: %s", st.Version, terminal.Count(errors, "problem", "problems"))
}

// vouched says what it comes to.
func vouched(st api.Status) string {
	switch {
	case st.Packages == 0:
		return "no package is installed"
	case st.Lists.Withheld == 0:
		return terminal.Count(st.Packages, "package, which is", "packages, all") + " vouched for"
	case st.Packages == 1:
		return "the one package is not vouched for"
	}
	return fmt.Sprintf("%d of %d packages are vouched for", max(st.Packages-st.Lists.Withheld, 0), st.Packages)
}

// verified says what the latest verification of everything came to.
func verified(v api.Verification) string {
	switch {
	case v.Ended.IsZero():
		return ""
	case v.Errors == 0:
		return fmt.Sprintf("%s, %s, no differences", terminal.Moment(v.Ended), terminal.Count(v.Files, "file", "files"))
	}
	return fmt.Sprintf("%s, %d of %s with differences; see: digestctl verify --findings", terminal.Moment(v.Ended), v.Errors, terminal.Count(v.Files, "file", "files"))
}

func countsStyle(c api.Counts) terminal.Style {
	switch {
	case c.Quarantined > 0:
		return terminal.Bad
	case c.Withheld > 0:
		return terminal.Warn
	}
	return terminal.Plain
}

// endStyle is loud a month before something ends.
func endStyle(end, now time.Time) terminal.Style {
	switch left := end.Sub(now); {
	case end.IsZero():
		return terminal.Plain
	case left < 0:
		return terminal.Bad
	case left < 30*24*time.Hour:
		return terminal.Warn
	}
	return terminal.Plain
}

func listCounts(st api.Status) string {
	s := strconv.Itoa(st.Lists.Active) + " active"
	if st.Lists.Grace > 0 {
		s += fmt.Sprintf(" (%d only until the next boot)", st.Lists.Grace)
	}
	for _, c := range []struct {
		n     int
		state string
	}{{st.Lists.Withheld, api.StateWithheld}, {st.Lists.Quarantined, api.StateQuarantined}} {
		if c.n > 0 {
			s += fmt.Sprintf(", %d %s", c.n, c.state)
		}
	}
	switch {
	case st.Lists.Quarantined > 0 && st.Lists.Withheld > 0:
		s += "; see: digestctl list"
	case st.Lists.Quarantined > 0:
		s += "; see: digestctl list quarantined"
	case st.Lists.Withheld > 0:
		s += "; see: digestctl list withheld"
	}
	return s
}

func packages(st api.Status) string {
	if st.DatabasePath == "" {
		return "no rpm database"
	}
	return fmt.Sprintf("%d in the %s database in %s", st.Packages, st.DatabaseKind, st.DatabasePath)
}

func keyLine(k api.Key) string {
	s := k.Fingerprint + " " + k.Owner
	if k.Weak != "" {
		s += " (not accepted: " + k.Weak + ")"
	}
	return s
}

func severityStyle(severity string) terminal.Style {
	switch severity {
	case api.SeverityError:
		return terminal.Bad
	case api.SeverityWarning:
		return terminal.Warn
	}
	return terminal.Plain
}
