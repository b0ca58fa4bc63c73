// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/cli"
	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/schema"
	"github.com/digestd/digestd/cmd/digestctl/schematest"
	"github.com/digestd/digestd/cmd/digestctl/terminal"
)

// encoded is a document as UI.JSON prints it.
func encoded(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := terminal.New(&b, nil).JSON(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSchemas holds docs/schema, and the descriptions from which digestctl schema makes the
// same, to the types of the documents and the comments in their source. Both are made with
// go test ./cmd/digestctl -run TestSchemas -update.
func TestSchemas(t *testing.T) {
	a := &cli.App{UI: terminal.New(nil, nil)}
	verbs := schema.Verbs(a, rootCommand(a))
	if len(verbs) < 50 {
		t.Errorf("only %d verbs print documents", len(verbs))
	}
	var documents []reflect.Type
	for _, v := range verbs {
		documents = append(documents, v.Documents()...)
	}
	d := descriptions(t, schema.Structs(documents))
	files := map[string][]byte{"schema/descriptions.json": encoded(t, d)}
	for _, v := range verbs {
		files[filepath.Join("../../docs/schema", schema.FileName(v.Name)+".json")] = encoded(t, v.Schema(d))
	}
	there, err := filepath.Glob("../../docs/schema/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		switch {
		case files[file] != nil:
		case *ctltest.Update:
			os.Remove(file)
		default:
			t.Errorf("%s is of no verb", file)
		}
	}
	for file, want := range files {
		if *ctltest.Update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the types say (%v); write it again: go test ./cmd/digestctl -run TestSchemas -update", file, err)
		}
	}
}

// descriptions takes the comments of structs and of their fields from the source.
func descriptions(t *testing.T, structs []reflect.Type) schema.Descriptions {
	t.Helper()
	d := schema.Descriptions{}
	sources := map[string][]*ast.File{}
	for _, s := range structs {
		dir := filepath.Join("../..", strings.TrimPrefix(s.PkgPath(), "github.com/digestd/digestd/"))
		if strings.HasSuffix(s.PkgPath(), ".test") || s.PkgPath() == "" {
			continue
		}
		if sources[dir] == nil {
			sources[dir] = parsed(t, dir)
		}
		found := false
		for _, file := range sources[dir] {
			ast.Inspect(file, func(n ast.Node) bool {
				group, ok := n.(*ast.GenDecl)
				if !ok || group.Tok != token.TYPE {
					return true
				}
				for _, spec := range group.Specs {
					if spec := spec.(*ast.TypeSpec); spec.Name.Name == s.Name() {
						found = true
						describe(d, s, spec, group.Doc.Text()+spec.Doc.Text())
					}
				}
				return true
			})
		}
		if !found {
			t.Errorf("the source of %s was not found in %s", s, dir)
		}
	}
	return d
}

// describe takes in the comments of one struct.
func describe(d schema.Descriptions, s reflect.Type, spec *ast.TypeSpec, about string) {
	say := func(key, text string) {
		text = strings.NewReplacer("[", "", "]", "", "\n", " ").Replace(strings.TrimSpace(text))
		if text != "" {
			d[key] = text
		}
	}
	// A name of Go says nothing to programs in other languages.
	if ast.IsExported(s.Name()) {
		say(schema.TypeKey(s), about)
	}
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		for _, name := range f.Names {
			say(schema.FieldKey(s, name.Name), f.Doc.Text()+f.Comment.Text())
		}
	}
}

// parsed are the files of a package, without its tests.
func parsed(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no source: %v", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// TestSchemasAreTried wants each verb that prints documents to do so in a session: there the
// document is compared with the schema.
func TestSchemasAreTried(t *testing.T) {
	var sessions []byte
	for _, pattern := range []string{"testdata/*.txtar", "*/testdata/*.txtar", "*/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, data...)
		}
	}
	tried := map[string]bool{}
	a := &cli.App{UI: terminal.New(nil, nil)}
	verbs := schema.Verbs(a, rootCommand(a))
	for line := range strings.Lines(string(sessions)) {
		if !strings.Contains(line, "--json") {
			continue
		}
		for _, v := range verbs {
			if strings.Contains(line, " "+v.Name+" ") {
				tried[v.Name] = true
			}
		}
	}
	for _, v := range verbs {
		if !tried[v.Name] {
			t.Errorf("no session runs digestctl %s --json", v.Name)
		}
	}
}

// TestEmptyDocuments: a document without anything in it has the keys that its schema promises.
func TestEmptyDocuments(t *testing.T) {
	a := &cli.App{UI: terminal.New(nil, nil)}
	for _, v := range schema.Verbs(a, rootCommand(a)) {
		s := encoded(t, v.Schema(nil))
		for _, document := range v.Documents() {
			printed := encoded(t, reflect.Zero(document).Interface())
			if err := schematest.Check(s, printed); err != nil {
				t.Errorf("digestctl %s prints %s: %v", v.Name, printed, err)
			}
		}
	}
}

// TestDescriptionsAreThere: keys of package api have comments, and these reach the schemas.
func TestDescriptionsAreThere(t *testing.T) {
	data, err := os.ReadFile("schema/descriptions.json")
	if err != nil {
		t.Fatal(err)
	}
	var d schema.Descriptions
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if len(d) < 200 || d["api.Why"] == "" || d["api.Why.Vouched"] == "" {
		t.Errorf("%d descriptions, %q, %q", len(d), d["api.Why"], d["api.Why.Vouched"])
	}
}
