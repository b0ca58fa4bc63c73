// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/bus/object"
	"github.com/digestd/digestd/daemon/manual"
)

var update = flag.Bool("update", false, "write docs/dbus.md and org.digestd1(5)")

// TestDocs holds the documents to the table: they are made from it, with
// go test ./daemon/bus -run TestDocs -update.
func TestDocs(t *testing.T) {
	page := describeBus(t)
	for file, want := range map[string][]byte{
		"../../docs/dbus.md":            page.Markdown(),
		"../../docs/man/org.digestd1.5": page.Roff(),
	} {
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the table says (%v); make docs writes it: go test ./daemon/bus -run TestDocs -update", file, err)
		}
	}
}

func describeBus(t *testing.T) *manual.Page {
	p := &manual.Page{Name: api.BusName, Number: 5, About: "the D-Bus interface of digestd"}
	p.Section("Description")
	p.Text("digestd(8) has the name `" + api.BusName + "` on the system bus. Its one object is `" + api.Path +
		"`, with the interface `" + api.Interface + "` and the standard ones for properties, introspection and peers.")
	p.Text("Structs travel as dictionaries, `a{sv}`: text as `s`, truth as `b`, small numbers as `u`, counts and large numbers as " +
		"`t`, times as `t` (microseconds since 1970, UTC), durations as `t` (nanoseconds), bytes as `ay`, structs as `a{sv}`, and " +
		"lists of them as `as` or `aa{sv}`. Later versions only add keys. An optional key is absent if it has no value. Text that " +
		"is not UTF-8 has U+FFFD for each invalid byte.")
	p.Text("Every user may read. Methods that change something name their action: root may call them, and polkit(8) decides about " +
		"other users; by default it asks for the password of an administrator. If a call does not allow interactive authorization, " +
		"polkit asks for none. A caller without authorization gets `AccessDenied`; without polkit these are all users except root. " +
		"If a caller leaves the bus while polkit asks, the call is withdrawn. Text is at most 1024 bytes, a path 4096; digestd refuses " +
		"unprintable characters in all arguments except paths. digestd records a reason with the caller's user and process; if a method requires one, an empty one is an `InvalidArgument`.")
	p.Text("A paged method returns at most 1000 elements from `offset` on, and the total number; a `limit` of 0 is 1000. " +
		"A page beyond the end is empty. One connection may have 32 calls in progress, and one user 8 that wait for an " +
		"authorization. A long query ends when its caller leaves; a method that changes something is carried out.")
	p.Text("If systemd starts services for the bus, a call starts digestd if it does not run.")

	manager := (&Server{}).table()
	p.Section("Methods")
	for _, m := range manager.Methods {
		doc := m.Doc
		if m.Action != object.Free {
			doc += " Action `" + m.Action.Name + "`."
		}
		if m.Doc == "" {
			t.Errorf("%s is not documented", m.Name)
		}
		out := ""
		if len(m.Out) > 0 {
			out = " → " + typed(m.Out)
		}
		p.Item(m.Name+"("+typed(m.In)+")"+out, doc)
	}
	p.Section("Properties")
	for _, d := range manager.Properties {
		doc := d.Doc
		if d.Emits == "const" {
			doc += " It does not change."
		}
		if d.Emits == "false" {
			doc += " Changes are not announced."
		}
		p.Item(d.Sig+" "+d.Name, doc)
	}
	p.Section("Signals")
	p.Text("Signals are for programs that run now: if the bus is too slow, some are lost. `RollbackLog` has the record of events, " +
		"`Lists` has the present state.")
	for _, e := range manager.Signals {
		p.Item(e.Name+"("+typed(e.Args)+")", e.Doc)
	}
	p.Section("Errors")
	p.Text("The body of an error has the error message and, if there is any, advice for the next step.")
	for _, e := range []struct {
		code api.Code
		doc  string
	}{
		{api.NotFound, "There is no such package, list, key, grant, floor or job."},
		{api.InvalidArgument, "An argument is out of bounds or makes no sense."},
		{api.AccessDenied, "The caller may not do that, or not learn it."},
		{api.Busy, "Too many calls or jobs are in progress."},
		{api.Failed, "Anything else: the text says what."},
	} {
		p.Item(errorPrefix+string(e.code), e.doc)
	}
	p.Section("Structs")
	describeStructs(t, p)
	p.Section("Examples")
	p.Literal("busctl introspect org.digestd1 /org/digestd1\n" +
		"busctl call org.digestd1 /org/digestd1 org.digestd1.Manager Why s /usr/bin/ls\n" +
		"busctl monitor --match \"type='signal',sender='org.digestd1'\"")
	p.Section("See also")
	p.Text("digestctl(1), digestd(8), busctl(1), polkit(8)")
	return p
}

func typed(args []object.Argument) string {
	var list []string
	for _, a := range args {
		list = append(list, a.Sig+" "+a.Name)
	}
	return strings.Join(list, ", ")
}

// describeStructs takes the structs of package api with what is said of their
// fields from its source.
func describeStructs(t *testing.T, p *manual.Page) {
	for _, file := range []string{"../api/api.go", "../api/health.go", "../api/verify.go", "../api/denials.go", "../api/own.go", "../api/kernel.go", "../api/guard.go", "../api/error.go"} {
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range source.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.TYPE {
				continue
			}
			spec := group.Specs[0].(*ast.TypeSpec)
			if fields, ok := spec.Type.(*ast.StructType); ok {
				p.Subsection(spec.Name.Name)
				p.Text(strings.NewReplacer("[", "`", "]", "`").Replace(group.Doc.Text()))
				describeFields(p, fields.Fields.List)
			}
		}
	}
}

func describeFields(p *manual.Page, fields []*ast.Field) {
	for _, f := range fields {
		if len(f.Names) == 0 {
			p.Text("All of `" + f.Type.(*ast.Ident).Name + "` besides.")
			continue
		}
		key, options, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(f.Tag.Value, "`json:\""), "\"`"), ",")
		said := []string{}
		if kind := structOf(f.Type); kind != "" {
			said = append(said, kind)
		}
		if options == "omitzero" {
			said = append(said, "optional")
		}
		if comment := strings.TrimSpace(f.Comment.Text()); comment != "" {
			said = append(said, comment)
		}
		p.Item(wireType(f.Type)+" "+key, strings.Join(said, "; "))
	}
}

// structOf names the struct that a field holds, if it is one of ours.
func structOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		return structOf(e.Elt)
	case *ast.StarExpr:
		return structOf(e.X)
	case *ast.Ident:
		if ast.IsExported(e.Name) && e.Name != "Code" {
			return "`" + e.Name + "`"
		}
	}
	return ""
}

// wireType is the signature that a field travels under.
func wireType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		if inner := wireType(e.Elt); inner != "byte" {
			return "a" + inner
		}
		return "ay"
	case *ast.StarExpr:
		return wireType(e.X)
	case *ast.SelectorExpr: // time.Time, time.Duration
		return "t"
	case *ast.Ident:
		types := []string{"string", "s", "Code", "s", "bool", "b", "uint32", "u", "uint64", "t", "int", "t", "byte", "byte"}
		if i := slices.Index(types, e.Name); i >= 0 {
			return types[i+1]
		}
	}
	return "a{sv}"
}
