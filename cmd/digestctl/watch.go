// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/client"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// watchLine is what watch prints for programs, a line each.
type watchLine struct {
	Time   time.Time      `json:"time"`
	Event  string         `json:"event"`  // a signal's name, PropertiesChanged, Watching, Waiting or Left
	Fields map[string]any `json:"fields"` // what it said, by the names in org.digestd1(5)
}

func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Annotations: prints(watchLine{}),
		Use:         "watch",
		Short:       "Show what digestd does, as it happens",
		Long: `Watch prints a line for each thing that digestd does from now on: lists that come
and go, what is refused, keys that are revoked, tampering, transactions that end, and changes of how it is. It goes
on when digestd restarts, and waits for one that is not there. Interrupt it to end it.

With --json each line is a document of its own.`,
		Args: exactly(),
		RunE: a.verb(func(ctx context.Context, c *client.Client, _ []string) error {
			return (&watch{app: a, client: c}).run(ctx)
		}),
	}
}

// watch follows digestd over one connection.
type watch struct {
	*app
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
		return w.print(warn, "waiting", "digestd is not on the bus", "Waiting", nil)
	case err != nil:
		// One that is starting or busy will be heard all the same.
		return w.print(warn, "waiting", err.Error(), "Waiting", nil)
	}
	s := good
	if st.State != api.Healthy {
		s = bad
	}
	return w.print(s, "watching", fmt.Sprintf("digestd %s, %s, %s", st.Version, st.State, count(st.Lists.Active, "active list", "active lists")),
		"Watching", map[string]any{"version": st.Version, "state": st.State, "activeLists": st.Lists.Active})
}

// take prints one signal.
func (w *watch) take(ctx context.Context, signal client.Signal) error {
	switch signal.Kind {
	case client.Left:
		return w.print(warn, "left", "digestd left the bus", "Left", nil)
	case client.Arrived:
		return w.greet(ctx)
	case client.Changed:
		return w.properties(signal.Fields)
	}
	if signal.Name == "JobProgress" && !w.json {
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
		return cmp.Or(moment(micros(n)), "never")
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
	if len(words) == 0 && !w.json {
		return nil
	}
	slices.Sort(words)
	s := plain
	switch fields["State"] {
	case api.Degraded:
		s = bad
	case api.Healthy:
		s = good
	}
	return w.print(s, "now", strings.Join(words, ", "), "PropertiesChanged", fields)
}

// wordsFor says a signal in words. One that is not known here, of a newer
// digestd's or of no interest before, is its name and its values.
func wordsFor(name string, f map[string]any) (s style, kind, text string) {
	said := func(key string) string { return fmt.Sprint(f[key]) }
	because := func(what string) string {
		if reason := said("reason"); f["reason"] != nil && reason != "" {
			return what + ": " + reason
		}
		return what
	}
	switch name {
	case "ListPublished":
		return good, "published", said("nevra")
	case "ListWithdrawn":
		return warn, "withdrawn", because(said("nevra"))
	case "RollbackRefused":
		return bad, "refused", because(said("nevra"))
	case "KeyRevoked":
		return bad, "revoked", because("key "+said("fingerprint")) + "; lists withdrawn: " + said("lists")
	case "Denied":
		return bad, "denied", because(said("what"))
	case "DenialLifted":
		return good, "lifted", because("the denial of " + said("what"))
	case "TamperDetected":
		return bad, "tampered", because(said("name"))
	case "TransactionFinished":
		return plain, "transaction", "ended: " + said("published") + " published, " + said("withdrawn") + " withdrawn"
	case "JobFinished":
		if f["ok"] == true {
			return plain, "job", said("job") + " is done"
		}
		failure, _ := f["result"].(map[string]any)
		return warn, "job", said("job") + " failed: " + fmt.Sprint(failure["message"])
	}
	var words []string
	for key, v := range f {
		words = append(words, fmt.Sprintf("%s %v", key, v))
	}
	slices.Sort(words)
	return plain, name, strings.Join(words, ", ")
}

// print prints one line, for people or for programs.
func (w *watch) print(s style, kind, text, event string, fields map[string]any) error {
	now := time.Now()
	if w.json {
		if fields == nil {
			fields = map[string]any{}
		}
		line, err := json.Marshal(watchLine{now, event, fields})
		if err == nil {
			_, err = fmt.Fprintf(w.tui.out, "%s\n", line)
		}
		return err
	}
	if w.tui.quiet {
		return nil
	}
	_, err := fmt.Fprintf(w.tui.out, "%s  %s %s\n", moment(now), w.tui.paint(s, fmt.Sprintf("%-11s", safe(kind))), safe(text))
	return err
}
