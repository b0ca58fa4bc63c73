// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/spf13/cobra"
)

// logFlags are what log is asked for.
type logFlags struct {
	filter       api.LogFilter
	since, until string
	actor        string
	lines        uint32
	follow       bool
}

// Log is digestctl log.
func Log(a *cli.App) *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Annotations: a.Prints(logDocument{}, api.Event{}),
		Use:         "log",
		Short:       "Show the decisions of digestd, newest first",
		Long: `Log shows every recorded decision, newest first: lists that were published, withdrawn, withheld or refused,
grants and floors, revoked keys, tampering, with the user and the reason. It reads digestd's own index and does not
need the journal, which has the same records: journalctl -x SYSLOG_IDENTIFIER=digestd.

A TIME is a date, a date and a time of day, a time of day today, or a time ago: 90s, 20m, 6h, 3d.

With --follow log prints the last entries, oldest first, then new entries until you interrupt it; with --json each
entry is then a document of its own.`,
		Example: "  digestctl log --kind 'rollback-*' --since 7d\n  digestctl log --package bash --json",
		Args:    cli.Exactly(),
	}
	cmd.RunE = a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
		if err := f.parse(time.Now()); err != nil {
			return cli.Usage(err, cmd.CommandPath())
		}
		if f.follow {
			return followLog(a, ctx, c, f)
		}
		doc, err := readLog(ctx, c, f.filter, f.lines)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.UI.JSON(doc)
		}
		if len(doc.Events) == 0 {
			a.UI.Say(terminal.Plain, "the log has no such entries")
			return nil
		}
		printLog(a.UI, doc.Events)
		if n := int(doc.Total) - len(doc.Events); n > 0 {
			a.UI.Say(terminal.Faint, "%s; see them with --lines 0", terminal.Count(n, "older entry", "older entries"))
		}
		return nil
	})
	cmd.AddCommand(logVerifyCommand(a))
	flags := cmd.Flags()
	flags.StringVarP(&f.filter.Kind, "kind", "k", "", "of a `KIND`, such as withdrawn, or a pattern: 'rollback-*'")
	flags.StringVarP(&f.filter.Package, "package", "p", "", "about a `PACKAGE`, or a pattern of their names")
	flags.StringVar(&f.filter.Key, "key", "", "about a key or lists it vouched for: the `FINGERPRINT` or its end")
	flags.StringVarP(&f.since, "since", "S", "", "at that `TIME` or later")
	flags.StringVarP(&f.until, "until", "U", "", "before that `TIME`")
	flags.StringVar(&f.actor, "actor", "", "made by a `USER`: a name or number")
	flags.Uint32VarP(&f.lines, "lines", "n", 50, "print at most `N` entries, 0 for all")
	flags.BoolVarP(&f.follow, "follow", "f", false, "continue with new entries")
	cmd.RegisterFlagCompletionFunc("kind", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		for _, k := range audit.Kinds() {
			names = append(names, cobra.CompletionWithDesc(k.Name, k.Words))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	for _, name := range []string{"package", "key", "since", "until", "actor"} {
		cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// parse reads the times and the user.
func (f *logFlags) parse(now time.Time) (err error) {
	if f.filter.Since, err = parseTime("since", f.since, now); err != nil {
		return err
	}
	if f.filter.Until, err = parseTime("until", f.until, now); err != nil {
		return err
	}
	if f.actor == "" {
		return nil
	}
	id := f.actor
	if u, err := user.Lookup(f.actor); err == nil {
		id = u.Uid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return fmt.Errorf("there is no user %q here", f.actor)
	}
	uid := uint32(n)
	f.filter.UID = &uid
	return nil
}

// parseTime reads a time as a person writes it, by their clock.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("--%s %q is not a time: give 2026-01-31, '2026-01-31 12:00', 12:00, or how long ago: 20m, 6h, 3d", flag, text)
}

// readLog reads up to want entries, all if that is 0. Decisions made meanwhile do not shift its
// pages.
func readLog(ctx context.Context, c *client.Client, filter api.LogFilter, want uint32) (doc logDocument, err error) {
	doc.Events = []api.Event{}
	if filter.Before == 0 {
		st, err := c.Status(ctx)
		if err != nil {
			return doc, err
		}
		filter.Before = st.LastEvent + 1
	}
	doc.Total, err = c.Log(ctx, filter, want, func(page []api.Event) { doc.Events = append(doc.Events, page...) })
	return doc, err
}

// followLog prints the last entries, then each that comes.
func followLog(a *cli.App, ctx context.Context, c *client.Client, f logFlags) error {
	// In the order in which they were made, and none is missed: heard of first,
	// read then.
	signals, err := c.Follow(ctx)
	if err != nil {
		return err
	}
	filter, want := f.filter, f.lines
	for {
		st, err := c.Status(ctx)
		if err == nil && st.LastEvent > filter.After {
			filter.Before = st.LastEvent + 1
			var doc logDocument
			if doc, err = readLog(ctx, c, filter, want); err == nil {
				slices.Reverse(doc.Events)
				if err := logLines(a, doc.Events); err != nil {
					return err
				}
				filter.After, want = st.LastEvent, 0
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		// A daemon that restarts comes back, and has lost nothing.
		if err != nil && !errors.As(err, new(*client.Unreachable)) {
			return err
		}
		if err := awaitLog(ctx, signals); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// awaitLog waits until the log may have grown, or ctx ends.
func awaitLog(ctx context.Context, signals *client.Signals) error {
	for {
		signal, err := signals.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case signal.Kind == client.Arrived, signal.Kind == client.Left:
			return nil
		case signal.Kind == client.Changed && signal.Fields["LastEvent"] != nil:
			return nil
		}
	}
}

// logLines prints entries as they come: their columns cannot be as wide as what
// is not known yet.
func logLines(a *cli.App, events []api.Event) error {
	for _, e := range events {
		if a.JSON {
			if err := a.UI.JSONLine(e); err != nil {
				return err
			}
			continue
		}
		a.UI.Say(terminal.Plain, "%s  %-17s %s  %s", terminal.Moment(e.When), e.Kind, logSubject(e), logText(e))
	}
	return nil
}

func printLog(t *terminal.UI, events []api.Event) {
	rows := make([][]terminal.Cell, len(events))
	for i, e := range events {
		rows[i] = []terminal.Cell{{Text: terminal.Moment(e.When)}, {Text: e.Kind, Style: logStyle(e.Kind)}, {Text: logSubject(e)}, {Text: logActor(e)}, {Text: logText(e)}}
	}
	t.Table([]terminal.Column{{Title: "WHEN"}, {Title: "WHAT"}, {Title: "ABOUT"}, {Title: "BY"}, {Title: "WHY"}}, rows)
}

// logSubject is what an entry is about.
func logSubject(e api.Event) string {
	for _, s := range []string{e.NEVRA, e.Package, e.List, e.Key} {
		if s != "" {
			return s
		}
	}
	return "-"
}

// logActor is who did it; what nobody asked for digestd did itself.
func logActor(e api.Event) string {
	if e.Actor.UID == 0 && e.Actor.PID == 0 {
		return "digestd"
	}
	if e.Actor.Unit != "" {
		return terminal.UserName(e.Actor.UID) + " (" + e.Actor.Unit + ")"
	}
	return terminal.UserName(e.Actor.UID)
}

// logText is the reason that was given, or what the kind means.
func logText(e api.Event) string {
	k := audit.Lookup(e.Kind)
	says := k.Says(e.Reason)
	switch {
	case e.Text != "" && says != k.Words:
		return says + ": " + e.Text
	case e.Text != "":
		return terminal.Without(logSubject(e), e.Text)
	case e.Reason != "" && says == k.Words:
		return says + " (" + e.Reason + ")"
	}
	return says
}

func logStyle(kind string) terminal.Style {
	switch k := audit.Lookup(kind); {
	case k.Refusal, k.Priority <= audit.Err:
		return terminal.Bad
	case k.Priority <= audit.Notice:
		return terminal.Warn
	}
	return terminal.Plain
}

// logDocument is what log prints for programs.
type logDocument struct {
	Events []api.Event `json:"events"`
	Total  uint32      `json:"total"`
}
