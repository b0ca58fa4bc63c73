// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// watchLine is what watch prints for programs, a line each.
type watchLine struct {
	Time   time.Time      `json:"time"`
	Event  string         `json:"event"`  // a signal's name, PropertiesChanged, Watching, Waiting or Left
	Fields map[string]any `json:"fields"` // the contents of the event, with the names of org.digestd1(5)
}

// Watch is digestctl watch.
func Watch(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(watchLine{}),
		Use:         "watch",
		Short:       "Show events as they happen",
		Long: `Watch prints a line for each event from now on: lists published and withdrawn, packages refused, keys revoked,
tampering, transactions that ended, and changes of digestd's state. It continues when digestd restarts, and waits
if digestd is not running. Interrupt it to end it.

With --json each line is a document of its own.`,
		Args: cli.Exactly(),
		RunE: a.Verb(func(ctx context.Context, c *client.Client, _ []string) error {
			return (&watch{App: a, client: c}).run(ctx)
		}),
	}
}

// watch follows digestd over one connection.
type watch struct {
	*cli.App
	client *client.Client
}

// run prints until ctx ends, which is no failure, or the bus goes away.
func (w *watch) run(ctx context.Context) error {
	signals, err := w.client.Follow(ctx)
	if err != nil {
		return err
	}
	if err := w.greet(ctx); err != nil {
		return err
	}
	for {
		signal, err := signals.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = w.take(ctx, signal)
		}
		if err != nil {
			return err
		}
	}
}

// greet says how digestd is when the watch begins, and when it is back.
func (w *watch) greet(ctx context.Context) error {
	st, err := w.client.Status(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, new(*client.Unreachable)):
		return w.print(terminal.Warn, "waiting", "digestd is not on the bus", "Waiting", nil)
	case err != nil:
		// One that is starting or busy will be heard all the same.
		return w.print(terminal.Warn, "waiting", err.Error(), "Waiting", nil)
	}
	s := terminal.Good
	if st.State != api.Healthy {
		s = terminal.Bad
	}
	return w.print(s, "watching", fmt.Sprintf("digestd %s, %s, %s", st.Version, st.State, terminal.Count(st.Lists.Active, "active list", "active lists")),
		"Watching", map[string]any{"version": st.Version, "state": st.State, "activeLists": st.Lists.Active})
}

// take prints one signal.
func (w *watch) take(ctx context.Context, signal client.Signal) error {
	switch signal.Kind {
	case client.Left:
		return w.print(terminal.Warn, "left", "digestd left the bus", "Left", nil)
	case client.Arrived:
		return w.greet(ctx)
	case client.Changed:
		return w.properties(signal.Fields)
	}
	if signal.Name == "JobProgress" && !w.JSON {
		return nil
	}
	s, kind, text := wordsFor(signal.Name, signal.Fields)
	return w.print(s, kind, text, signal.Name, signal.Fields)
}

// quietProperties are those whose changes follow from what other lines said.
var quietProperties = []string{"ActiveLists", "Counter", "LastEvent"}

// propertyText is a property's value as a person reads it.
func propertyText(name string, value any) any {
	if n, ok := value.(uint64); ok && name == "Verified" {
		return cmp.Or(terminal.Moment(micros(n)), "never")
	}
	return value
}

// micros is a time as it travels; 0 is none.
func micros(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n))
}

func (w *watch) properties(fields map[string]any) error {
	var words []string
	for name, v := range fields {
		if !slices.Contains(quietProperties, name) {
			words = append(words, fmt.Sprintf("%s %v", name, propertyText(name, v)))
		}
	}
	if len(words) == 0 && !w.JSON {
		return nil
	}
	slices.Sort(words)
	s := terminal.Plain
	switch fields["State"] {
	case api.Degraded:
		s = terminal.Bad
	case api.Healthy:
		s = terminal.Good
	}
	return w.print(s, "now", strings.Join(words, ", "), "PropertiesChanged", fields)
}

// wordsFor says a signal in words. One that is not known here, of a newer
// digestd's or of no interest before, is its name and its values.
func wordsFor(name string, f map[string]any) (s terminal.Style, kind, text string) {
	said := func(key string) string { return fmt.Sprint(f[key]) }
	because := func(what string) string {
		if reason := said("reason"); f["reason"] != nil && reason != "" {
			return what + ": " + reason
		}
		return what
	}
	switch name {
	case "ListPublished":
		return terminal.Good, "published", said("nevra")
	case "ListWithdrawn":
		return terminal.Warn, "withdrawn", because(said("nevra"))
	case "RollbackRefused":
		return terminal.Bad, "refused", because(said("nevra"))
	case "KeyRevoked":
		return terminal.Bad, "revoked", because("key "+said("fingerprint")) + "; lists withdrawn: " + said("lists")
	case "Denied":
		return terminal.Bad, "denied", because(said("what"))
	case "DenialLifted":
		return terminal.Good, "lifted", because("the denial of " + said("what"))
	case "TamperDetected":
		return terminal.Bad, "tampered", because(said("name"))
	case "TransactionFinished":
		return terminal.Plain, "transaction", "ended: " + said("published") + " published, " + said("withdrawn") + " withdrawn"
	case "JobFinished":
		if f["ok"] == true {
			return terminal.Plain, "job", said("job") + " is done"
		}
		failure, _ := f["result"].(map[string]any)
		return terminal.Warn, "job", said("job") + " failed: " + fmt.Sprint(failure["message"])
	}
	var words []string
	for key, v := range f {
		words = append(words, fmt.Sprintf("%s %v", key, v))
	}
	slices.Sort(words)
	return terminal.Plain, name, strings.Join(words, ", ")
}

// print prints one line, for people or for programs.
func (w *watch) print(s terminal.Style, kind, text, event string, fields map[string]any) error {
	now := time.Now()
	if w.JSON {
		return w.UI.JSONLine(watchLine{now, event, fields})
	}
	return w.UI.Event(s, now, kind, text)
}
