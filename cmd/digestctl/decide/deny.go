// SPDX-License-Identifier: Apache-2.0

// Package decide implements the verbs by which an administrator decides which contents and
// versions may be active: denials, floors and grants of rollbacks.
package decide

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// Deny is digestctl deny.
func Deny(a *cli.App) *cobra.Command {
	var reason, ticket, until string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Denial{}),
		Use:         "deny FILE|DIGEST|PACKAGE[<VERSION] --reason TEXT",
		Short:       "Keep a signed package or a file's content out of all lists",
		Long: `Deny records that the content of a file, or versions of a package, must not be
trusted on this machine. digestd immediately removes denied content from every list:
it replaces a list that includes it with one that does not. A denied package loses
its list. In mode enforce rpm refuses to install it and shows the reason; in the
other modes it can be installed, but never gets a list. A denial stays in force
until it expires or is lifted, even if the package is removed and reinstalled.

FILE must contain a slash; its present content is denied, under every path. DIGEST
is sha256, sha384 or sha512 in hexadecimal digits, optionally with the name and a
colon before it. PACKAGE is a name, name.arch, or name-[epoch:]version-release.arch
for one version; with <VERSION (quote it) it means all versions below
[epoch:]version[-release]. A version without an epoch has the epoch of the package
that is installed; if digestd does not know the package, it means every epoch.
Denying something again replaces its reason, ticket and end. If a package has the
name of a command below, add its architecture.`,
		Example: "  digestctl deny /usr/bin/miner --reason 'found by an incident'\n" +
			"  digestctl deny 'openssl<3.0.7-18' --reason 'remote code execution' --ticket CVE-2022-3602\n" +
			"  digestctl deny bash-5.1-2.x86_64 --reason 'regression' --expires 30d",
		Args: cli.Exactly("FILE, DIGEST or PACKAGE"),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			expires, err := parseEnd(until, time.Now())
			if err != nil {
				return cli.Usage(err, "digestctl deny")
			}
			what, path := args[0], ""
			if strings.Contains(what, "/") {
				if path, err = userfile.Absolute(what); err == nil {
					what, err = digestsOf(ctx, path)
				}
				if err != nil {
					return err
				}
			}
			denial, err := c.Deny(ctx, what, api.Clean(path), reason, ticket, expires)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(denial)
			}
			a.UI.Say(terminal.Good, "%s is denied", denialSubject(denial))
			printDenial(a.UI, denial)
			if denial.Lists == 0 {
				a.UI.Fact("lists", "no list includes it now")
			}
			cli.SayAnchored(a, denial.Anchor)
			return nil
		}),
		ValidArgsFunction: cli.OrFiles(a.Asking(cli.PackageNames)),
	}
	cmd.Flags().StringVarP(&ticket, "ticket", "t", "", "the `ID` of a ticket or advisory, for example a CVE")
	cmd.Flags().StringVarP(&until, "expires", "e", "", "let the denial expire: at the end of a `DATE` (2027-01-31, or an RFC 3339 time), or after 90d, 2w, 12h")
	cli.ReasonFlag(cmd, &reason)
	cmd.AddCommand(denyListCommand(a), denyLiftCommand(a), denyExportCommand(a), denyImportCommand(a))
	return cmd
}

// parseEnd reads when something ends: a date, which it includes, a time, or a
// duration from now.
func parseEnd(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	end, err := time.Parse(time.RFC3339, text)
	if day, bad := time.ParseInLocation(time.DateOnly, text, time.Local); bad == nil {
		end, err = day.AddDate(0, 0, 1), nil
	}
	if err != nil {
		if end, err = addDuration(text, now); err != nil {
			return end, fmt.Errorf("deny: --expires is a date, a time or a duration such as 90d, not %q", text)
		}
	}
	if !end.After(now) {
		return end, fmt.Errorf("deny: --expires %s is in the past", text)
	}
	if end.UTC().Year() > 9999 {
		return end, fmt.Errorf("deny: --expires %s is too far in the future", text)
	}
	return end, nil
}

func addDuration(text string, now time.Time) (time.Time, error) {
	const most = 100 * 366 // days
	for suffix, days := range map[string]int{"d": 1, "w": 7} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseUint(digits, 10, 16)
			if err != nil || n*uint64(days) > most {
				return now, fmt.Errorf("%q is not a number of days", digits)
			}
			return now.AddDate(0, 0, int(n)*days), nil
		}
	}
	d, err := time.ParseDuration(text)
	return now.Add(d), err
}

// denialsDocument is what deny list prints for programs.
type denialsDocument struct {
	Denials []api.Denial `json:"denials"`
	Total   uint32       `json:"total"`
}

func denyListCommand(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(denialsDocument{}),
		Use:         "list",
		Short:       "List the denials",
		Long: `List prints each denial with its reason and its end, and how many lists are withheld
or reduced because of it.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			doc, err := allDenials(ctx, c)
			if err != nil {
				return err
			}
			return cli.Listing[api.Denial]{Document: doc, Items: doc.Denials, None: "nothing is denied", Print: printDenials}.Show(a)
		}),
	}
}

func allDenials(ctx context.Context, c *client.Client) (doc denialsDocument, err error) {
	doc.Denials = []api.Denial{}
	doc.Total, err = c.Denials(ctx, 0, func(page []api.Denial) {
		doc.Denials = append(doc.Denials, page...)
	})
	return doc, err
}

func denyLiftCommand(a *cli.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Annotations: a.Prints(api.Denial{}),
		Use:         "lift ID|WHAT --reason TEXT",
		Short:       "Lift a denial",
		Long: `Lift ends a denial: digestd publishes the lists it withheld, and adds the denied
content to its lists again, unless another rule prevents that. WHAT is the ID of a
denial, the path of the denied file, or the denied digest or package, as deny list
prints it.`,
		Args:              cli.Exactly("ID or WHAT"),
		ValidArgsFunction: cli.OrFiles(a.Asking(denied)),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, args []string) error {
			what := args[0]
			if strings.Contains(what, "/") {
				path, err := userfile.Absolute(what)
				if err != nil {
					return err
				}
				what = api.Clean(path)
			}
			denial, err := c.DenialLift(ctx, what, reason)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.UI.JSON(denial)
			}
			a.UI.Say(terminal.Good, "%s is no longer denied", denialSubject(denial))
			if denial.Lists > 0 {
				a.UI.Say(terminal.Plain, "  %s may return", terminal.Count(denial.Lists, "list", "lists"))
			}
			return nil
		}),
	}
	cli.ReasonFlag(cmd, &reason)
	return cmd
}

// denialSubject names what a denial is about: a file by its path.
func denialSubject(d api.Denial) string {
	if d.Path != "" {
		return d.Path
	}
	return d.What
}

// printDenial prints the facts of one.
func printDenial(t *terminal.UI, d api.Denial) {
	t.Fact("id", "%s", d.ID)
	for _, digest := range d.Digests {
		t.Fact("content", "%s", digest)
	}
	t.Fact("because", "%s", d.Reason)
	t.Fact("ticket", "%s", d.Ticket)
	t.Fact("until", "%s", terminal.Moment(d.Expires))
	if d.Lists > 0 {
		t.Fact("lists", "%s withheld or reduced", terminal.Count(d.Lists, "is", "are"))
	}
	if !d.Foreign {
		t.Fact("to lift", "digestctl deny lift %s --reason WHY", d.ID)
	}
}

func printDenials(t *terminal.UI, denials []api.Denial) {
	rows := make([][]terminal.Cell, len(denials))
	for i, d := range denials {
		until := "lifted"
		if !d.Expires.IsZero() {
			until = terminal.Moment(d.Expires)
		}
		by := d.By
		if !d.Foreign {
			by = terminal.UserName(d.UID)
		}
		rows[i] = []terminal.Cell{{Text: d.ID}, {Text: denialShort(d), Style: terminal.Bad}, {Text: until}, {Text: strconv.Itoa(d.Lists)}, {Text: by}, {Text: d.Ticket}, {Text: d.Reason}}
	}
	t.Table([]terminal.Column{{Title: "ID"}, {Title: "DENIED"}, {Title: "UNTIL"}, {Title: "LISTS", Number: true}, {Title: "BY"}, {Title: "TICKET"}, {Title: "WHY"}}, rows)
}

// denialShort names a content by its path, or by as much of its digest as tells
// it from others; --json has all of it.
func denialShort(d api.Denial) string {
	const few = 23
	if s := denialSubject(d); len(d.Digests) == 0 || d.Path != "" || len(s) <= few {
		return s
	}
	return d.What[:few] + "..."
}

// denied are the denials that can be lifted here.
func denied(ctx context.Context, c *client.Client, _ string, _ []string) (offers []cobra.Completion, err error) {
	_, err = c.Denials(ctx, api.MaxPage, func(page []api.Denial) {
		for _, d := range page {
			if !d.Foreign {
				offers = append(offers, cobra.CompletionWithDesc(d.ID, d.What))
			}
		}
	})
	return offers, err
}
