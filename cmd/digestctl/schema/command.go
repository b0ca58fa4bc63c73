// SPDX-License-Identifier: Apache-2.0

package schema

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
	"github.com/spf13/cobra"
)

// described is made from the comments in the source, by make docs.
//
//go:embed descriptions.json
var described []byte

// Verb is a command that prints documents for programs.
type Verb struct {
	Name      string
	About     string
	documents []reflect.Type
}

// Verbs returns the commands that print documents, in the order of the manual.
func Verbs(a *cli.App, root *cobra.Command) (verbs []Verb) {
	for _, c := range root.Commands() {
		if types := a.Documents(c); types != nil && !c.Hidden {
			verbs = append(verbs, Verb{cli.VerbName(c), c.Short, types})
		}
		verbs = append(verbs, Verbs(a, c)...)
	}
	return verbs
}

// Documents returns the types of the documents that a verb prints, including that of an error.
func (v Verb) Documents() []reflect.Type {
	return append(v.documents[:len(v.documents):len(v.documents)], reflect.TypeFor[cli.Trouble]())
}

// Schema returns the schema of a verb.
func (v Verb) Schema(d Descriptions) *Schema { return d.Of(v.Name, v.About, v.Documents()...) }

// listDocument is what schema prints without a verb.
type listDocument struct {
	Verbs []listed `json:"verbs"`
}

type listed struct {
	Verb  string `json:"verb"`
	About string `json:"about"`
}

// Command is digestctl schema.
func Command(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Annotations: a.Prints(map[string]any{}, listDocument{}),
		Use:         "schema [VERB...]",
		Short:       "Print the JSON Schema of what a verb prints with --json",
		Long: `Schema prints the JSON Schema (draft 2020-12) of the documents that a verb prints with --json, including
that of an error. Without VERB it lists the verbs. The package installs the same schemas in
/usr/share/digestd/schema. It asks no digestd.`,
		Example:           "  digestctl schema own add\n  digestctl schema status | jq '.[\"$defs\"].Problem'",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: complete(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Started = true
			verbs := Verbs(a, cmd.Root())
			if len(args) == 0 {
				return list(a, verbs)
			}
			for _, v := range verbs {
				if v.Name != strings.Join(args, " ") {
					continue
				}
				var d Descriptions
				if err := json.Unmarshal(described, &d); err != nil {
					return fmt.Errorf("cannot read the descriptions of keys: %w", err)
				}
				return a.UI.JSON(v.Schema(d))
			}
			return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("cannot print a schema: no verb %q prints JSON", strings.Join(args, " ")), Advice: "list the verbs that do: digestctl schema"}
		},
	}
}

func list(a *cli.App, verbs []Verb) error {
	if a.JSON {
		var doc listDocument
		for _, v := range verbs {
			doc.Verbs = append(doc.Verbs, listed{v.Name, v.About})
		}
		return a.UI.JSON(doc)
	}
	var rows [][]terminal.Cell
	for _, v := range verbs {
		rows = append(rows, []terminal.Cell{{Text: v.Name}, {Text: v.About}})
	}
	a.UI.Table([]terminal.Column{{Title: "VERB"}, {Title: "WHAT IT DOES"}}, rows)
	return nil
}

// complete offers the words that continue the name of a verb.
func complete(a *cli.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var words []cobra.Completion
		begun := strings.Join(append(args[:len(args):len(args)], ""), " ")
		for _, v := range Verbs(a, cmd.Root()) {
			rest, ok := strings.CutPrefix(v.Name, begun)
			if word, _, _ := strings.Cut(rest, " "); ok && word != "" && (len(words) == 0 || words[len(words)-1] != word) {
				words = append(words, word)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}
