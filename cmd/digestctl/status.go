// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(api.Status{}),
		Use:         "status",
		Short:       "Show how digestd is and what it keeps",
		Long: `Status shows how digestd is, what it keeps and what needs an administrator.

It exits with 0 when all is well and with 3 when there are errors or warnings.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if st.State != api.Healthy {
				a.code = exitBad
			}
			if a.json {
				return a.tui.json(st)
			}
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			a.tui.status(st, keys, time.Now())
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

// status prints what needs somebody before what is as it should be.
func (t *tui) status(st api.Status, keys []api.Key, now time.Time) {
	t.headline(st)
	for _, p := range st.Problems {
		t.say(severityStyle(p.Severity), "%s: %s", p.Severity, p.Text)
		t.fact("next", "%s", p.Advice)
	}
	if st.Waiting {
		t.fact("lists", "stay as they are, in %s", st.ListDirectory)
		t.fact("running", "since %s", moment(st.Since))
		return
	}
	if st.Transaction {
		t.fact("now", "a package transaction is in progress")
	}
	t.fact("mode", "%s", joined(st.Mode, modes[st.Mode]))
	t.colored(countsStyle(st.Lists), "lists", "%s", listCounts(st))
	t.fact("", "in %s, format %s, signature %s", st.ListDirectory, st.Format, st.Sign)
	t.fact("files", "%d vouched for", st.Files)
	t.fact("verified", "%s", verified(st.Verified))
	t.fact("packages", "%s", packages(st))
	if st.Root != "/" {
		t.fact("root", "%s", st.Root)
	}
	t.statusKeys(st.Keys, keys)
	if cert := st.Certificate; cert.Path != "" {
		t.fact("signer", "%s", cert.Path)
		t.colored(endStyle(cert.NotAfter, now), "", "key id %s, valid until %s", cert.SKI, cert.NotAfter.Local().Format(time.DateOnly))
	}
	t.statusKernel(st.Kernel)
	if sync := st.LastSync; !sync.When.IsZero() {
		t.fact("last sync", "%s, %s in %s", moment(sync.When), count(sync.Installed, "package", "packages"), seconds(sync.Duration))
	}
	t.fact("running", "since %s", moment(st.Since))
}

// shownKeys is how many keys are named: distributions have few, and some machines
// have them all.
const shownKeys = 4

// statusKeys names the keys that vouch, and those that no longer do though there
// are packages of theirs.
func (t *tui) statusKeys(trusted, all []api.Key) {
	if len(trusted) == 0 {
		t.colored(bad, "keys", "none: no package can be vouched for; import one: rpmkeys --import FILE")
	}
	name := "keys"
	for _, k := range trusted[:min(len(trusted), shownKeys)] {
		t.fact(name, "%s", keyLine(k))
		name = ""
	}
	if more := len(trusted) - shownKeys; more > 0 {
		t.fact("", "and %d more; see: digestctl keys", more)
	}
	for _, k := range all {
		if k.Use == "" && k.State == api.KeyRevoked && k.Withheld > 0 {
			t.colored(bad, "revoked", "%s: %s withheld; see: digestctl keys show %s", cmp.Or(k.Owner, k.Fingerprint), count(k.Withheld, "list is", "lists are"), k.Fingerprint)
		}
	}
}

func (t *tui) headline(st api.Status) {
	if st.State == api.Healthy {
		t.say(good, "digestd %s is well: %s", st.Version, vouched(st))
		return
	}
	errors := 0
	for _, p := range st.Problems {
		if p.Severity != api.SeverityNotice {
			errors++
		}
	}
	t.say(bad, "digestd %s needs you: %s", st.Version, count(errors, "problem", "problems"))
}

// vouched says what it comes to.
func vouched(st api.Status) string {
	switch {
	case st.Packages == 0:
		return "no package is installed"
	case st.Lists.Withheld == 0:
		return count(st.Packages, "package, which is", "packages, all") + " vouched for"
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
		return fmt.Sprintf("%s, %s, all as they should be", moment(v.Ended), count(v.Files, "file", "files"))
	}
	return fmt.Sprintf("%s, %d of %s not as they should be; see: digestctl verify --findings", moment(v.Ended), v.Errors, count(v.Files, "file", "files"))
}

func countsStyle(c api.Counts) style {
	switch {
	case c.Quarantined > 0:
		return bad
	case c.Withheld > 0:
		return warn
	}
	return plain
}

// endStyle is loud a month before something ends.
func endStyle(end, now time.Time) style {
	switch left := end.Sub(now); {
	case end.IsZero():
		return plain
	case left < 0:
		return bad
	case left < 30*24*time.Hour:
		return warn
	}
	return plain
}

func listCounts(st api.Status) string {
	s := strconv.Itoa(st.Lists.Active) + " active"
	if st.Lists.Grace > 0 {
		s += fmt.Sprintf(" (%d only until the machine restarts)", st.Lists.Grace)
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

func severityStyle(severity string) style {
	switch severity {
	case api.SeverityError:
		return bad
	case api.SeverityWarning:
		return warn
	}
	return plain
}
