// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/man"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/config"
	"github.com/spf13/cobra"
)

// TestManual holds docs/digestctl.md and the manual pages to the commands: they
// are made from them, with go test ./cmd/digestctl -run TestManual -update.
func TestManual(t *testing.T) {
	a := &cli.App{UI: terminal.New(nil, nil)}
	root := rootCommand(a)
	p := man.Page(a, root)
	files := map[string][]byte{"../../docs/digestctl.md": p.Markdown(), "../../docs/man/digestctl.1": p.Roff()}
	for _, v := range man.Pages(a, root) {
		files["../../docs/man/"+v.Name+".1"] = v.Roff()
	}
	there, err := filepath.Glob("../../docs/man/*.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if files[file] == nil {
			t.Errorf("%s is of no command", file)
		}
	}
	for file, want := range files {
		if *ctltest.Update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the commands say (%v); make docs writes it: go test ./cmd/digestctl -run TestManual -update", file, err)
		}
	}
}

// Every command says what it does, and what it prints for programs.
func TestManualIsComplete(t *testing.T) {
	a, documented := &cli.App{UI: terminal.New(nil, nil)}, 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			visit(c)
			if c.Hidden {
				continue
			}
			if c.Long == "" {
				t.Errorf("%s has no description", c.CommandPath())
			}
			_, group := c.Annotations[cli.GroupMark]
			if !group && a.Documents(c) == nil {
				t.Errorf("%s has no document", c.CommandPath())
			}
			documented++
		}
	}
	visit(rootCommand(a))
	if documented < 40 {
		t.Errorf("only %d commands are there", documented)
	}
}

// Help fits 80 columns, but for examples, which people copy whole.
func TestHelpFits(t *testing.T) {
	shown := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		var help bytes.Buffer
		cmd.SetOut(&help)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(help.String()) {
			shown++
			if terminal.Width(strings.TrimSuffix(line, "\n")) > 80 && !strings.HasPrefix(line, "  digestctl ") && !strings.HasPrefix(line, "  openssl ") && !strings.HasPrefix(line, "Use \"") {
				t.Errorf("%s --help is too wide: %s", cmd.CommandPath(), line)
			}
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(rootCommand(&cli.App{UI: terminal.New(nil, nil)}))
	if shown < 1000 {
		t.Errorf("only %d lines were shown", shown)
	}
}

// requests are those of the man macros that the pages use.
var requests = regexp.MustCompile(`^\.(TH [A-Z0-9.-]+ \d "" digestd "digestd manual"|S[HS] ("[^"]+"|[A-Z]+)|PP|TP|RS 4|RE|nf|fi|br|BR \S+ \(\d\),?|\\" .*)$`)

// escapes are those that the pages use, and what must not be left beside them.
var escapes = regexp.MustCompile(`\\(e|-|&|f[BIR]|\((aq|ga|ha|ti|dq)|\[u[0-9A-F]{4,5}\])`)

// Every page that is shipped is good roff: no line is a request by mistake, and
// what is opened is closed.
func TestManualPages(t *testing.T) {
	pages, err := filepath.Glob("../../docs/man/*")
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages are missing: %v, %v", pages, err)
	}
	for _, name := range pages {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			switch {
			case strings.HasPrefix(line, `.\"`):
			case strings.HasPrefix(line, ".") && !requests.MatchString(line):
				t.Errorf("%s:%d: request %q", name, i+1, line)
			case strings.HasPrefix(line, "'"), line == "", strings.TrimRight(line, " ") != line:
				t.Errorf("%s:%d: bad line %q", name, i+1, line)
			case strings.Contains(escapes.ReplaceAllString(line, ""), `\`):
				t.Errorf("%s:%d: bad escape in %q", name, i+1, line)
			}
		}
		for open, end := range map[string]string{"\n.nf\n": "\n.fi\n", "\n.RS 4\n": "\n.RE\n", `\fB`: `\fR`} {
			if n, m := strings.Count(text, open), strings.Count(text, end); n > m {
				t.Errorf("%s: %d of %q, %d of %q", name, n, open, m, end)
			}
		}
		for _, section := range []string{".SH NAME\n", ".SH \"SEE ALSO\"\n"} {
			if !strings.Contains(text, section) {
				t.Errorf("%s has no %s", name, section)
			}
		}
	}
}

// digestd.conf(5) has every key with its default.
func TestConfigurationIsDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/man/digestd.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), `\-`, "-")
	keys := 0
	v := reflect.ValueOf(config.Default())
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		if key == "-" {
			continue
		}
		_, entry, ok := strings.Cut(text, ".TP\n\\fB"+key+"\\fR = ")
		if !ok {
			t.Errorf("%s is not documented", key)
			continue
		}
		keys++
		entry, _, _ = strings.Cut(entry, "\n.TP\n")
		value := fmt.Sprint(v.Field(i).Interface())
		if v.Field(i).Kind() == reflect.Slice {
			value = fmt.Sprintf("%q", v.Field(i).Interface())
			value = strings.ReplaceAll(value, " ", ", ")
		}
		shown := cmp.Or(value, `""`)
		if !strings.Contains(entry, "default is \\fB"+shown+"\\fR") && !strings.HasPrefix(entry, `\fI"`+value+`"\fR`) {
			t.Errorf("%s: the default %s is not what is documented: %s", key, value, entry)
		}
	}
	if n := strings.Count(text, `\fR = `); n != keys {
		t.Errorf("%d keys are documented, %d are there", n, keys)
	}
}

// digestd(8) has every option of digestd, and no other.
func TestDaemonOptionsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("../digestd/main.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/man/digestd.8")
	if err != nil {
		t.Fatal(err)
	}
	options := regexp.MustCompile(`flag\.[A-Z]\w+\("([a-z-]+)"`).FindAllSubmatch(source, -1)
	if len(options) < 3 {
		t.Fatalf("only %d options are found", len(options))
	}
	for _, o := range options {
		if !bytes.Contains(page, []byte(".TP\n\\fB\\-"+strings.ReplaceAll(string(o[1]), "-", `\-`)+`\fR`)) {
			t.Errorf("-%s is not documented", o[1])
		}
	}
	_, list, _ := strings.Cut(string(page), ".SH OPTIONS\n")
	list, _, _ = strings.Cut(list, ".SH ")
	if n := strings.Count(list, ".TP\n"); n != len(options) {
		t.Errorf("%d options are documented, %d are there", n, len(options))
	}
}
