// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/audit/journaltest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
)

var update = flag.Bool("update", false, "write systemd/digestd.catalog")

const catalog = "../../systemd/digestd.catalog"

// TestCatalog holds the shipped catalog to the table: it is made from it, with
// go test ./daemon/audit -run TestCatalog -update.
func TestCatalog(t *testing.T) {
	want := audit.Catalog()
	if *update {
		if err := os.WriteFile(catalog, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(catalog); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the table says (%v); make docs writes it: go test ./daemon/audit -run TestCatalog -update", catalog, err)
	}
	id := regexp.MustCompile(`^[0-9a-f]{32}$`)
	seen := map[string]string{}
	for _, k := range audit.Kinds() {
		for _, unique := range []string{k.ID, k.Name} {
			if other, twice := seen[unique]; twice {
				t.Errorf("%s and %s are both %s", k.Name, other, unique)
			}
			seen[unique] = k.Name
		}
		if !id.MatchString(k.ID) {
			t.Errorf("%s has no MESSAGE_ID but %q: make one with systemd-id128 new", k.Name, k.ID)
		}
		if k.Words == "" || k.Title == "" || k.Text == "" || k.Priority < audit.Err || k.Priority > audit.Info {
			t.Errorf("%s lacks something: %+v", k.Name, k)
		}
	}
}

// journalctl itself reads the catalog, and shows it beside a record.
func TestJournalctlExplains(t *testing.T) {
	needs.Root(t)
	root := t.TempDir()
	dir := filepath.Join(root, "usr/lib/systemd/catalog")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "digestd.catalog"), audit.Catalog(), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("journalctl", "--root="+root, "--update-catalog").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("journalctl --update-catalog: %v\n%s", err, out)
	}
	out, err := exec.Command("journalctl", "--root="+root, "--list-catalog").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range audit.Kinds() {
		if !strings.Contains(string(out), k.ID+" digestd: "+k.Title+"\n") {
			t.Errorf("%s is not in journalctl --list-catalog:\n%s", k.Name, out)
		}
	}

	journal := journaltest.New(t)
	journal.Start()
	writer := audit.NewJournal(journal.Dir())
	defer writer.Close()
	if err := writer.Send(refusal); err != nil {
		t.Fatal(err)
	}
	if err := writer.Confirm(t.Context()); err != nil {
		t.Fatal(err)
	}
	// journalctl looks for the catalog in one place.
	const explain = `mount --bind "$1" /var/lib/systemd && journalctl --directory="$2" -x --no-pager`
	out, err = exec.Command("unshare", "--mount", "sh", "-c", explain, "sh", filepath.Join(root, "var/lib/systemd"), journal.Files()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"bash-0:5.1-2.x86_64 was refused: it is older than the version that was active here: 5.2-1 was active",
		"Subject: bash-0:5.1-2.x86_64 was refused: it is older than what was active",
		"If you want this version: digestctl rollback grant bash-0:5.1-2.x86_64 --reason WHY",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("journalctl -x does not say %q:\n%s", want, out)
		}
	}
}

var refusal = record.Event{
	Seq: 7, When: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Kind: "rollback-refused", Package: "bash-0:5.1-2.x86_64",
	List: "tlv-bash", Digest: record.Digest{1, 2}, Key: "4fe2", Counter: 9, Reason: "rollback",
	Text: "bash-0:5.1-2.x86_64: 5.2-1 was active", UID: 5, PID: 6, Unit: "session-3.scope",
}

// TestEveryKindIsExplained finds each kind of event that the daemon records in
// its source.
func TestEveryKindIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, k := range audit.Kinds() {
		known[k.Name] = true
	}
	set := token.NewFileSet()
	constants := kindConstants(t, set)
	for _, name := range constants {
		if !known[name] {
			t.Errorf("the kind %q has a constant, and no entry in the table", name)
		}
	}
	if len(constants) != len(known) {
		t.Errorf("%d constants name the %d kinds of the table", len(constants), len(known))
	}
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			for _, use := range kindsIn(decl, constants) {
				at := set.Position(use.at)
				if use.name == "" {
					t.Errorf("%s: this event has no kind of daemon/audit/kinds.go: give it one of the constants there, or a variable that only these are assigned to", at)
				} else if !known[use.name] {
					t.Errorf("%s: the kind %q is not explained: add it to the table in daemon/audit/kinds.go, with a new ID from systemd-id128 new, "+
						"words, a title and a text; then run go test ./daemon/audit -run TestCatalog -update", at, use.name)
				}
				found[use.name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"published", "withdrawn", "rollback-refused", "grant-used", "tampered", "key-revoked", "records-lost"} {
		if !found[name] {
			t.Errorf("%q is not found in the source: does this test still look in the right places?", name)
		}
	}
}

// use is a kind, "" when it cannot be told, and where it is used.
type use struct {
	name string
	at   token.Pos
}

// kindConstants returns the kinds by their constants' names.
func kindConstants(t *testing.T, set *token.FileSet) map[string]string {
	file, err := parser.ParseFile(set, "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		if b, ok := spec.Values[0].(*ast.BasicLit); ok {
			constants[spec.Names[0].Name], _ = strconv.Unquote(b.Value)
		}
		return true
	})
	return constants
}

// kindsIn returns the kinds of the events that a declaration makes.
func kindsIn(decl ast.Decl, constants map[string]string) (uses []use) {
	assigned := map[string][]ast.Expr{}
	ast.Inspect(decl, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == len(a.Rhs) {
			for i, to := range a.Lhs {
				if id, ok := to.(*ast.Ident); ok {
					assigned[id.Name] = append(assigned[id.Name], a.Rhs[i])
				}
			}
		}
		return true
	})
	constant := func(e ast.Expr) use {
		if s, ok := e.(*ast.SelectorExpr); ok {
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "audit" {
				return use{constants[s.Sel.Name], e.Pos()}
			}
		}
		return use{"", e.Pos()}
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		kind := kindOf(c)
		if id, ok := kind.(*ast.Ident); ok && len(assigned[id.Name]) > 0 {
			for _, e := range assigned[id.Name] {
				uses = append(uses, constant(e))
			}
		} else if kind != nil {
			uses = append(uses, constant(kind))
		}
		return true
	})
	return uses
}

// kindOf returns the Kind of a record.Event, or of the elements of a list of them.
func kindOf(c *ast.CompositeLit) ast.Expr {
	isEvent := func(e ast.Expr) bool {
		s, ok := e.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		pkg, ok := s.X.(*ast.Ident)
		return ok && pkg.Name == "record" && s.Sel.Name == "Event"
	}
	if list, ok := c.Type.(*ast.ArrayType); ok && isEvent(list.Elt) && len(c.Elts) == 1 {
		if inner, ok := c.Elts[0].(*ast.CompositeLit); ok {
			return fieldKind(inner)
		}
	}
	if c.Type == nil || !isEvent(c.Type) || len(c.Elts) == 0 {
		return nil
	}
	return fieldKind(c)
}

func fieldKind(c *ast.CompositeLit) ast.Expr {
	for _, e := range c.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == "Kind" {
				return kv.Value
			}
		}
	}
	return &ast.BadExpr{From: c.Pos(), To: c.End()}
}
