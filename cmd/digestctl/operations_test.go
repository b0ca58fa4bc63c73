// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/audit"
)

// TestOperationsSaysWhatRecordsAskFor: docs/operations.md says of each kind of record what
// to do, and of no others.
func TestOperationsSaysWhatRecordsAskFor(t *testing.T) {
	data, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "## What to do about each record\n")
	told := map[string]bool{}
	for line := range strings.Lines(table) {
		if kinds, what, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && len(what) > 4 {
			for _, m := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(kinds, -1) {
				told[m[1]] = true
			}
		}
	}
	for _, k := range audit.Kinds() {
		if !told[k.Name] {
			t.Errorf("docs/operations.md does not say what %s asks for", k.Name)
		}
		delete(told, k.Name)
	}
	for name := range told {
		t.Errorf("docs/operations.md has %s, which is no kind of record", name)
	}
}

// TestPagesNameCommandsThatExist: what pages for users call digestctl with is a command.
func TestPagesNameCommandsThatExist(t *testing.T) {
	root := rootCommand(&cli.App{UI: terminal.New(nil, nil)})
	named := 0
	for _, page := range []string{"README.md", "docs/tutorial.md", "docs/operations.md", "docs/install.md"} {
		data, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:`|^ *# |sudo |^    |: )digestctl ([a-z][a-z-]*)( [a-z][a-z-]+)?").FindAllStringSubmatch(string(data), -1) {
			cmd, _, err := root.Find(strings.Fields(m[1] + m[2]))
			if err != nil || cmd == root {
				t.Errorf("%s names digestctl %s%s, which does not exist", page, m[1], m[2])
			}
			named++
		}
	}
	if named < 40 {
		t.Errorf("only %d commands were found", named)
	}
}
