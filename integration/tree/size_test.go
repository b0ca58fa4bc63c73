// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A package has one subject, and a struct has one job: what is larger than this has
// more. Lines are those of code: no tests, no comments and no empty lines.
const (
	mostLines  = 1500
	mostFields = 12
)

// largePackages are over the bound today. The list may only become shorter.
var largePackages = []string{
	"rpmdb/pgp",
}

// largeStructs are over the bound today. The list may only become shorter.
var largeStructs = []string{
	"rpmdb/pgp.Cert",
	"rpmdb/pgp.signature",
}

// records are structs that only carry values from one place to another, on the bus,
// on disk or in the configuration. They have as many fields as there is to say.
var records = []string{
	"cmd/digestctl/report.Report",
	"cmd/digestctl/schema.Schema",
	"daemon/api.Check",
	"daemon/api.Denial",
	"daemon/api.Finding",
	"daemon/api.Guard",
	"daemon/api.Kernel",
	"daemon/api.Key",
	"daemon/api.List",
	"daemon/api.Own",
	"daemon/api.Status",
	"daemon/api.Verification",
	"daemon/api.Why",
	"daemon/config.Config",
	"daemon/guard.Status",
	"store/record.Event",
	"store/record.Key",
	"store/record.List",
	"store/record.Own",
}

// measured reports whether a file counts: what only tests use and what a program wrote
// do not.
func measured(s source) bool {
	top, _, _ := strings.Cut(s.path, "/")
	return !s.test() && !s.generated() && top != "integration" && !strings.HasSuffix(s.dir(), "test")
}

// codeLines is how many lines of a file have code.
func codeLines(s source) (n int) {
	inside := false // of a comment that goes on
	for line := range bytes.Lines(s.data) {
		line = bytes.TrimSpace(line)
		switch {
		case inside:
			inside = !bytes.Contains(line, []byte("*/"))
		case bytes.HasPrefix(line, []byte("/*")):
			inside = !bytes.Contains(line, []byte("*/"))
		case len(line) > 0 && !bytes.HasPrefix(line, []byte("//")):
			n++
		}
	}
	return n
}

func TestPackagesAreSmall(t *testing.T) {
	lines := map[string]int{}
	for _, s := range sources(t) {
		if measured(s) {
			lines[s.dir()] += codeLines(s)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(lines)) {
		if lines[dir] > mostLines && !slices.Contains(largePackages, dir) {
			t.Errorf("%s has %d lines, want at most %d", dir, lines[dir], mostLines)
		}
	}
	for _, dir := range largePackages {
		if lines[dir] <= mostLines {
			t.Errorf("%s has %d lines: take it off the list of large packages", dir, lines[dir])
		}
	}
}

func TestStructsAreSmall(t *testing.T) {
	fields := map[string]int{}
	for _, s := range sources(t) {
		if !measured(s) {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if body, ok := spec.Type.(*ast.StructType); ok {
				name := s.dir() + "." + spec.Name.Name
				for _, f := range body.Fields.List {
					fields[name] += max(len(f.Names), 1) // an embedded one has no name
				}
			}
			return true
		})
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] > mostFields && !slices.Contains(largeStructs, name) && !slices.Contains(records, name) {
			t.Errorf("%s has %d fields, want at most %d", name, fields[name], mostFields)
		}
	}
	for _, name := range slices.Concat(largeStructs, records) {
		if fields[name] <= mostFields {
			t.Errorf("%s has %d fields: take it off the list of large structs, or of records", name, fields[name])
		}
	}
}
