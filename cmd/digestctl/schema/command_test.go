// SPDX-License-Identifier: Apache-2.0

package schema_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/schema"
	"github.com/spf13/cobra"
)

// digestctl runs one that has schema and a few verbs, of which some print documents.
func digestctl(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = cli.Run(t.Context(), func(a *cli.App) *cobra.Command {
		nothing := func(*cobra.Command, []string) error { return nil }
		own := &cobra.Command{Use: "own", Short: "Own files"}
		own.AddCommand(
			&cobra.Command{Use: "add FILE", Short: "Add one", RunE: nothing, Annotations: a.Prints(inner{})},
			&cobra.Command{Use: "audit", Short: "Look at all", RunE: nothing, Annotations: a.Prints(document{}, inner{})},
			&cobra.Command{Use: "open", Short: "Print text", RunE: nothing})
		hidden := &cobra.Command{Use: "secret", Short: "Is not shown", RunE: nothing, Hidden: true, Annotations: a.Prints(inner{})}
		return cli.Root(a, own, schema.Command(a), hidden)
	}, args, &out, &errOut)
	return out.String(), errOut.String(), code
}

func TestCommand(t *testing.T) {
	out, stderr, code := digestctl(t, "schema", "own", "add")
	var got schema.Schema
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || stderr != "" {
		t.Fatalf("%v, %d, %s", err, code, stderr)
	}
	var refs []string
	for _, s := range got.AnyOf {
		refs = append(refs, s.Ref)
	}
	// The error is a document of each verb, and is described by comments in the source.
	if want := []string{"#/$defs/Inner", "#/$defs/Trouble"}; !slices.Equal(refs, want) || got.Description != "Add one" || got.ID != "urn:digestd:digestctl:own-add" {
		t.Errorf("%q of %+v", refs, got)
	}
	if about := got.Defs["Trouble"].Description; about == "" {
		t.Error("a document that the source describes has no description")
	}
}

func TestCommandLists(t *testing.T) {
	out, stderr, code := digestctl(t, "schema")
	const want = "VERB       WHAT IT DOES\nown add    Add one\nown audit  Look at all\nschema     Print the JSON Schema of what a verb prints with --json\n"
	if out != want || stderr != "" || code != 0 {
		t.Errorf("%d, %s\n%s\nwant\n%s", code, stderr, out, want)
	}
	out, _, code = digestctl(t, "schema", "--json")
	var doc struct {
		Verbs []struct{ Verb, About string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || len(doc.Verbs) != 3 || doc.Verbs[1].Verb != "own audit" || doc.Verbs[1].About != "Look at all" {
		t.Errorf("%d, %v, %+v", code, err, doc)
	}
}

func TestCommandRefuses(t *testing.T) {
	for _, verb := range []string{"own open", "own", "own add more", "secret", "nothing"} {
		out, stderr, code := digestctl(t, append([]string{"schema"}, strings.Fields(verb)...)...)
		want := "digestctl: cannot print a schema: no verb \"" + verb + "\" prints JSON\n  list the verbs that do: digestctl schema\n"
		if out != "" || stderr != want || code != 3 {
			t.Errorf("%s: %d\n%s%s", verb, code, out, stderr)
		}
	}
}

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{"": "own schema", "own": "add audit", "own add": "", "strange": ""} {
		out, _, code := digestctl(t, append(append([]string{cobra.ShellCompNoDescRequestCmd, "schema"}, strings.Fields(line)...), "")...)
		words, _, found := strings.Cut(out, ":4\n") // no names of files
		if got := strings.Join(strings.Fields(words), " "); got != want || !found || code != 0 {
			t.Errorf("after %q: %q, %d, want %q", line, out, code, want)
		}
	}
}
