// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/rogpeppe/go-internal/txtar"
)

// codes are the constants of type Code in package api, and those that only digestctl has.
func codes(t *testing.T) []api.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../daemon/api/error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := []api.Code{"Usage", "Unreachable"}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Code" {
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, api.Code(text))
			}
		}
		return true
	})
	return list
}

// TestErrorCodes: the session errors.txtar shows each code of an error, to people and to
// programs, with a cause and with what to do next.
func TestErrorCodes(t *testing.T) {
	session, err := txtar.ParseFile("testdata/errors.txtar")
	if err != nil {
		t.Fatal(err)
	}
	texts, shown := map[string]string{}, map[api.Code]string{}
	for _, f := range session.Files {
		texts[f.Name] = string(f.Data)
	}
	for name, text := range texts {
		document, ok := strings.CutSuffix(name, ".json")
		if !ok {
			continue
		}
		var d struct{ Error api.Error }
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&d); err != nil { // an exit code may follow
			t.Errorf("%s: %v", name, err)
		}
		if d.Error.Message == "" || d.Error.Advice == "" {
			t.Errorf("%s says %+v: want a message and advice", name, d.Error)
		}
		if want := "digestctl: " + d.Error.Message + "\n  " + d.Error.Advice + "\n"; texts[document+".txt"] != want {
			t.Errorf("people read\n%swant\n%s", texts[document+".txt"], want)
		}
		shown[d.Error.Code] = name
	}
	all := codes(t)
	if len(all) < 8 {
		t.Errorf("only the codes %v were found", all)
	}
	for _, code := range all {
		if shown[code] == "" {
			t.Errorf("testdata/errors.txtar does not show an error with code %s", code)
		}
	}
	if len(shown) != len(all) {
		t.Errorf("codes shown: %v, codes there are: %v", shown, all)
	}
}
