// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/manual"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual page; the Makefile runs it.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual page",
		Hidden: true,
		Args:   exactly("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.started = true
			if err := os.WriteFile(filepath.Join(args[0], "digestctl.1"), page(cmd.Root()).Roff(), 0o644); err != nil {
				return errorf("cannot write the manual page: %w", err)
			}
			return nil
		},
	}
}

// documents are what the verbs print for programs.
var documents = []struct {
	verb     string
	document any
}{
	{"status", api.Status{}},
	{"list", listDocument{}},
	{"show", showDocument{}},
	{"why", whyDocument{}},
	{"sync", api.SyncResult{}},
	{"watch", watchLine{}},
	{"rollback grant", api.Grant{}},
	{"rollback revoke", done{}},
	{"rollback log", logDocument{}},
	{"floor set", floorDocument{}},
	{"floor clear", done{}},
	{"floor list", floorsDocument{}},
	{"keys", keysDocument{}},
	{"keys show", api.Key{}},
	{"keys revoke", api.Key{}},
	{"keys restore", api.Key{}},
	{"keys rotate", api.Certificate{}},
	{"doctor", doctorDocument{}},
	{"ima-policy", imaPolicyDocument{}},
	{"version", versionDocument{}},
}

// page makes the manual page of the command tree.
func page(root *cobra.Command) *manual.Page {
	p := &manual.Page{Name: root.Name(), Number: 1, About: lowerFirst(root.Short)}
	p.Section("Synopsis")
	p.Literal("digestctl [--json] [--quiet] [--no-color] [--bus ADDRESS] COMMAND [ARGUMENT...]")
	p.Section("Description")
	p.Text(root.Long)
	p.Section("Options")
	flags(p, root.PersistentFlags())
	p.Section("Commands")
	commands(p, root)
	p.Section("Exit status")
	for _, e := range exitCodes {
		p.Item(fmt.Sprint(e.code), e.meaning)
	}
	p.Text("Of several files, `why` exits with 3 if one that exists is not vouched for.")
	p.Section("Output for programs")
	p.Text("With `--json` a command prints one document on standard output, also when it fails: then it is " +
		"`{\"error\": Error}`, whose code may also be Usage or Unreachable. Structs are those of org.digestd1(5), with the same " +
		"keys; times are RFC 3339, durations are in nanoseconds, bytes are base64. Keys are only ever added.")
	for _, d := range documents {
		p.Item(d.verb, "`"+shape(reflect.TypeOf(d.document))+"`")
	}
	p.Section("Environment")
	p.Item("NO_COLOR", "Colors are used on terminals only, and not at all if this is set to anything.")
	p.Item("TERM", "Neither colors nor progress if it is `dumb`.")
	p.Item("DBUS_SYSTEM_BUS_ADDRESS", "Where the system bus is.")
	p.Section("See also")
	p.Text("digestd(8), digestd.conf(5), org.digestd1(5), rpm(8)")
	return p
}

// commands adds what can be run, groups last in their own words.
func commands(p *manual.Page, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if c.Name() == "completion" {
			p.Subsection("completion bash|fish|zsh")
			p.Text("Completion prints a script that teaches a shell to complete the commands; `--help` says how to load it.")
			continue
		}
		if _, group := c.Annotations[groupMark]; group {
			commands(p, c)
			continue
		}
		p.Subsection(strings.TrimPrefix(c.CommandPath(), cmd.Root().Name()+" ") + strings.TrimPrefix(c.Use, c.Name()))
		long(p, c.Long)
		flags(p, c.LocalNonPersistentFlags())
		if c.Example != "" {
			p.Literal(strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
		}
		commands(p, c)
	}
}

// long adds a description; a paragraph that is indented stays as it is.
func long(p *manual.Page, text string) {
	for part := range strings.SplitSeq(text, "\n\n") {
		if lines, indented := strings.CutPrefix(strings.Trim(part, "\n"), "  "); indented {
			p.Literal(strings.ReplaceAll(lines, "\n  ", "\n"))
			continue
		}
		p.Text(part)
	}
}

func flags(p *manual.Page, set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			term += " " + value
		}
		if value != "" && f.DefValue != "" {
			usage += "; " + f.DefValue + " unless told"
		}
		p.Item(term, upperFirst(usage)+".")
	})
}

// shape describes a document: structs of package api by name, our own by their
// fields.
func shape(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Slice:
		return "[" + shape(t.Elem()) + ", ...]"
	case t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[api.List]().PkgPath():
		return t.Name()
	case t.Kind() == reflect.Struct:
		var fields []string
		for f := range t.Fields() {
			if f.Anonymous {
				fields = append(fields, "all of "+shape(f.Type))
				continue
			}
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, fmt.Sprintf("%q: %s", key, shape(f.Type)))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Map:
		return "{name: value, ...}"
	case t.Kind() == reflect.Bool:
		return "truth"
	}
	return "number"
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
