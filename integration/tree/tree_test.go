// SPDX-License-Identifier: Apache-2.0

// Package tree_test holds the rules that the source tree as a whole keeps: who
// may import whom, what every file begins with and what none contains. It reads
// files only; whether they do what they should is tested beside them.
package tree_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/digestd/digestd/"

// file is one of the tree, with its path from the top.
type file struct {
	path string
	data []byte
}

// generated reports whether a program wrote the file.
func (f file) generated() bool { return bytes.HasPrefix(f.data, []byte("// Code generated ")) }

// ext is the extension of a file's name, with the dot.
func (f file) ext() string { return path.Ext(f.path) }

// dir is the directory that a file is in.
func (f file) dir() string { return path.Dir(f.path) }

// files reads the tree, without what building leaves in it.
func files(t *testing.T) []file {
	t.Helper()
	top := os.DirFS("../..")
	var all []file
	err := fs.WalkDir(top, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case name == ".git" && !d.IsDir(): // of a second work tree
			return nil
		case d.IsDir() && (name == ".git" || name == "bin"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if slices.Contains([]string{".so", ".test", ".prof"}, path.Ext(name)) || !d.Type().IsRegular() {
			return nil
		}
		data, err := fs.ReadFile(top, name)
		all = append(all, file{path: name, data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("the tree has only %d files: is this its top?", len(all))
	}
	return all
}

// source is a parsed Go file.
type source struct {
	file
	*ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// imports are the packages that a file imports.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

func sources(t *testing.T) []source {
	t.Helper()
	set := token.NewFileSet()
	var all []source
	for _, f := range files(t) {
		if f.ext() != ".go" {
			continue
		}
		parsed, err := parser.ParseFile(set, f.path, f.data, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{file: f, File: parsed})
	}
	return all
}

// layers are the directories of the tree, the upper first. Packages import what is
// below them or in their own directory, and no peer in their layer.
var layers = [][]string{
	{"integration"},
	{"cmd"},
	{"daemon"},
	{"hooks", "store", "policy", "rpmdb", "kernel", "repo"},
	{"digestlist"},
}

// layer returns the number of a directory's layer, or -1.
func layer(directory string) int {
	return slices.IndexFunc(layers, func(peers []string) bool { return slices.Contains(peers, directory) })
}

func TestImportsPointDownwards(t *testing.T) {
	for _, s := range sources(t) {
		from, _, _ := strings.Cut(s.path, "/")
		if layer(from) < 0 {
			t.Errorf("%s is in no layer", s.path)
		}
		for _, imported := range s.imports() {
			rest, ours := strings.CutPrefix(imported, module)
			to, _, _ := strings.Cut(rest, "/")
			switch {
			case !ours || to == from || layer(to) > layer(from):
			case (s.test() || strings.HasSuffix(s.dir(), "test")) && to == "integration":
				// Packages that make packages and machines serve tests everywhere.
			default:
				t.Errorf("%s imports %s, which is not below it", s.path, rest)
			}
		}
	}
}

// rooms are the packages of the service that act, the upper first. Each stands on those
// below it; what is not named here decides, describes or carries, and knows none of them.
var rooms = []string{
	"daemon",
	"daemon/ownlist", "daemon/admin", "daemon/advisory", "daemon/query", "daemon/verification", "daemon/session",
	"daemon/export", "daemon/reconcile", "daemon/policyfile", "daemon/enforce", "daemon/keysource", "daemon/enrol",
	"daemon/deny", "daemon/label", "daemon/audit/carrier", "daemon/anchor",
	"daemon/host",
	"daemon/build", "daemon/identity", "daemon/executor",
}

func TestRoomsStandOnThoseBelow(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() || strings.HasSuffix(s.dir(), "test") || !strings.HasPrefix(s.path, "daemon/") {
			continue
		}
		from := slices.Index(rooms, s.dir())
		seen[s.dir()] = true
		for _, imported := range s.imports() {
			to := slices.Index(rooms, strings.TrimPrefix(imported, module))
			switch {
			case to < 0:
			case from < 0:
				t.Errorf("%s imports the room %s, but is none", s.path, rooms[to])
			case to <= from:
				t.Errorf("%s imports %s, which is not below it", s.path, rooms[to])
			}
		}
	}
	for _, room := range rooms {
		if !seen[room] {
			t.Errorf("%s has no files", room)
		}
	}
}

// TestOnlyTheGuardLoadsPrograms: what speaks to BPF is in no other program, neither
// its code nor the memory that it takes.
func TestOnlyTheGuardLoadsPrograms(t *testing.T) {
	const loader = "kernel/guard/bpf"
	seen := false
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			switch rest, _ := strings.CutPrefix(imported, module); {
			case strings.HasPrefix(imported, "github.com/cilium/"):
				seen = true
				// The program of a test machine loads others, to compare.
				if s.dir() != loader && s.dir() != "integration/vm/guard/init" {
					t.Errorf("%s imports %s, which only %s may", s.path, imported, loader)
				}
			case rest == loader && s.dir() != "cmd/digestd-guard" && !strings.HasPrefix(s.path, "integration/"):
				t.Errorf("%s imports %s, which only digestd-guard may", s.path, loader)
			}
		}
	}
	if !seen {
		t.Errorf("%s loads nothing", loader)
	}
}

// testLibraries are modules that only tests use, each with what it is for: none of their code
// is in a program that is shipped.
var testLibraries = map[string]string{
	"github.com/santhosh-tekuri/jsonschema/": "compares documents with JSON Schemas, which nothing in the standard library does",
	"github.com/rogpeppe/go-internal/":       "runs sessions of a command line",
	"github.com/google/go-cmp/":              "shows how two values differ",
}

func TestTestLibrariesAreForTests(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			for library := range testLibraries {
				if !strings.HasPrefix(imported, library) {
					continue
				}
				seen[library] = true
				if top, _, _ := strings.Cut(s.path, "/"); !s.test() && !strings.HasSuffix(s.dir(), "test") && top != "integration" {
					t.Errorf("%s imports %s, which is for tests: it %s", s.path, imported, testLibraries[library])
				}
			}
		}
	}
	for library := range testLibraries {
		if !seen[library] {
			t.Errorf("no test uses %s", library)
		}
	}
}

// pure are the packages that see nothing of the machine they run on.
var pure = []string{"daemon/ledger", "daemon/ledger/advice", "daemon/ledger/deployed", "daemon/ledger/grounds", "daemon/ledger/leftout", "daemon/ledger/notes", "daemon/ledger/policies", "daemon/ledger/state", "daemon/view", "digestlist", "digestlist/header", "digestlist/nevra", "kernel/guard", "policy", "policy/fleet", "rpmdb/pgp", "store/record"}

func TestPurePackagesSeeNoMachine(t *testing.T) {
	machine := regexp.MustCompile(`^(os|net|syscall|plugin|unsafe|C|golang\.org/x/sys|log)(/|$)|^(io/fs|io/ioutil|runtime/cgo)$`)
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() || !slices.Contains(pure, s.dir()) {
			continue
		}
		seen[s.dir()] = true
		if strings.HasPrefix(s.dir(), "daemon/ledger") {
			decidesAlone(t, s)
		}
		for _, imported := range s.imports() {
			if machine.MatchString(imported) {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, sel.Sel.Name) {
				t.Errorf("%s asks the clock: time.%s", s.path, sel.Sel.Name)
			}
			return true
		})
	}
	for _, dir := range pure {
		if !seen[dir] {
			t.Errorf("%s has no files", dir)
		}
	}
}

// decidesAlone checks that a file waits for nothing and starts nothing: an event is
// decided by one call.
func decidesAlone(t *testing.T, s source) {
	t.Helper()
	for _, imported := range s.imports() {
		if imported == "context" || imported == "sync" || strings.HasPrefix(imported, "sync/") {
			t.Errorf("%s imports %s", s.path, imported)
		}
	}
	ast.Inspect(s.File, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			t.Errorf("%s has a %T", s.path, n)
		}
		return true
	})
}

func TestEveryPackageSaysOnceWhatItIs(t *testing.T) {
	type pkg struct{ comments, wrong []string }
	pkgs := map[string]*pkg{}
	all := sources(t)
	for _, s := range all {
		// A package of tests alone has its comment in one of them.
		alone := !slices.ContainsFunc(all, func(o source) bool { return o.dir() == s.dir() && !o.test() })
		if pkgs[s.dir()] == nil {
			pkgs[s.dir()] = &pkg{}
		}
		p := pkgs[s.dir()]
		switch {
		case s.Doc == nil:
		case s.test() && !alone:
			p.wrong = append(p.wrong, s.path)
		default:
			p.comments = append(p.comments, s.path)
			subject := s.Name.Name
			if subject == "main" {
				subject = path.Base(s.dir())
			}
			begin := regexp.MustCompile(`^(Package |Command )?(?i:` + regexp.QuoteMeta(subject) + `) `)
			if !begin.MatchString(s.Doc.Text()) {
				t.Errorf("%s: the package comment does not begin by naming %s", s.path, subject)
			}
		}
	}
	for dir, p := range pkgs {
		if len(p.comments) != 1 {
			t.Errorf("%s has its package comment in %d files, want 1: %v", dir, len(p.comments), p.comments)
		}
		for _, f := range p.wrong {
			t.Errorf("%s has a package comment, which belongs beside what it tests", f)
		}
	}
}

func TestFilesBeginWithTheirLicence(t *testing.T) {
	for _, f := range files(t) {
		first, rest, _ := bytes.Cut(f.data, []byte("\n"))
		script := bytes.HasPrefix(first, []byte("#!"))
		if script {
			first, _, _ = bytes.Cut(rest, []byte("\n"))
		}
		code := slices.Contains([]string{".go", ".c", ".h", ".sh", ".py"}, f.ext()) || path.Base(f.path) == "Makefile"
		if !code && !script || f.generated() {
			continue
		}
		licence := "Apache-2.0"
		if f.dir() == "kernel/guard/bpf/c" {
			licence = "GPL-2.0 OR Apache-2.0" // the kernel loads no others
		}
		if line := strings.TrimLeft(string(first), "/*# "); !strings.HasPrefix(line, "SPDX-License-Identifier: "+licence) {
			t.Errorf("%s does not begin with its licence", f.path)
		}
	}
}

func TestNothingButTheKnownIsAtTheTop(t *testing.T) {
	known := []string{
		"cmd", "daemon", "hooks", "digestlist", "rpmdb", "policy", "store", "kernel", "repo", "systemd", "integration", "docs",
		"go.mod", "go.sum", "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci", ".gitignore",
	}
	for _, f := range files(t) {
		if top, _, _ := strings.Cut(f.path, "/"); !slices.Contains(known, top) {
			t.Errorf("%s does not belong at the top", top)
		}
	}
}
