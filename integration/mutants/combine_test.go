// SPDX-License-Identifier: Apache-2.0

package mutants

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
)

// One program has all mutations, for most of the time goes into building: each function
// that one of them changes is there as it is and as each of its mutations makes it, and
// calls the one that the environment names.

// variable names the mutation that a program is to have.
const variable = "DIGESTD_MUTANT"

// combined is a file with the functions of several mutations.
type combined struct {
	src   []byte
	file  *ast.File
	set   *token.FileSet
	funcs map[string]*ast.FuncDecl // of src, by funcName
	cases map[string][]string      // that lead to the mutations of a function
	more  bytes.Buffer             // what follows src
}

// newCombined returns a file without mutations.
func newCombined(src []byte) (*combined, error) {
	c := &combined{src: src, set: token.NewFileSet(), funcs: map[string]*ast.FuncDecl{}, cases: map[string][]string{}}
	var err error
	if c.file, err = parser.ParseFile(c.set, "original.go", src, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		return nil, err
	}
	for _, d := range c.file.Decls {
		if f, is := d.(*ast.FuncDecl); is {
			c.funcs[c.funcName(f)] = f
		}
	}
	return c, nil
}

// funcName tells functions of one file apart.
func (c *combined) funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	return c.text(c.src, c.set, f.Recv.List[0].Type) + "." + f.Name.Name
}

func (c *combined) text(src []byte, set *token.FileSet, n ast.Node) string {
	return string(src[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset])
}

// add adds the function that a mutation changes.
func (c *combined) add(name string, number int, mutated []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "mutated.go", mutated, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	changed := 0
	for _, d := range file.Decls {
		f, is := d.(*ast.FuncDecl)
		if !is {
			continue
		}
		key := f.Name.Name
		if f.Recv != nil {
			key = c.text(mutated, set, f.Recv.List[0].Type) + "." + key
		}
		before := c.funcs[key]
		if before == nil {
			return fmt.Errorf("%s brings a function", name)
		}
		text := c.text(mutated, set, f)
		if text == c.text(c.src, c.set, before) {
			continue
		}
		changed++
		at := set.Position(f.Name.Pos()).Offset - set.Position(f.Pos()).Offset
		other := fmt.Sprintf("%s_%d", f.Name.Name, number)
		fmt.Fprintf(&c.more, "\n%s%s%s\n", text[:at], other, text[at+len(f.Name.Name):])
		c.cases[key] = append(c.cases[key], fmt.Sprintf("\tcase %q:\n\t\t%s\n", name, c.call(before, other)))
	}
	if changed != 1 {
		return fmt.Errorf("%s changes %d functions, not one", name, changed)
	}
	return nil
}

// call is the statement that calls another function as f was called.
func (c *combined) call(f *ast.FuncDecl, other string) string {
	args, n := []string{}, 0
	for _, p := range f.Type.Params.List {
		for range max(1, len(p.Names)) {
			arg := fmt.Sprintf("p%d", n)
			if _, variadic := p.Type.(*ast.Ellipsis); variadic {
				arg += "..."
			}
			args, n = append(args, arg), n+1
		}
	}
	call := fmt.Sprintf("%s(%s)", other, strings.Join(args, ", "))
	if f.Recv != nil {
		call = "r." + call
	}
	if f.Type.Results != nil {
		return "return " + call
	}
	return call
}

// bytes is the file with all that was added.
func (c *combined) bytes() []byte {
	out := bytes.Clone(c.src)
	for key, cases := range c.cases {
		f := c.funcs[key]
		var b strings.Builder
		b.WriteString("\nfunc ")
		if f.Recv != nil {
			fmt.Fprintf(&b, "(r %s) ", c.text(c.src, c.set, f.Recv.List[0].Type))
		}
		b.WriteString(f.Name.Name + "(")
		n := 0
		for _, p := range f.Type.Params.List {
			for range max(1, len(p.Names)) {
				fmt.Fprintf(&b, "p%d %s, ", n, c.text(c.src, c.set, p.Type))
				n++
			}
		}
		b.WriteString(")")
		if f.Type.Results != nil {
			b.WriteString(" (")
			for _, r := range f.Type.Results.List {
				for range max(1, len(r.Names)) {
					fmt.Fprintf(&b, "%s, ", c.text(c.src, c.set, r.Type))
				}
			}
			b.WriteString(")")
		}
		fmt.Fprintf(&b, " {\n\tswitch theMutant {\n%s\tdefault:\n\t\t%s\n\t}\n}\n", strings.Join(cases, ""), c.call(f, f.Name.Name+"_0"))
		c.more.WriteString(b.String())
	}
	// From the last to the first, so that offsets stay what they are.
	names := []*ast.FuncDecl{}
	for _, d := range c.file.Decls {
		if f, is := d.(*ast.FuncDecl); is && c.cases[c.funcName(f)] != nil {
			names = append(names, f)
		}
	}
	for i := len(names) - 1; i >= 0; i-- {
		end := c.set.Position(names[i].Name.End()).Offset
		out = bytes.Join([][]byte{out[:end], out[end:]}, []byte("_0"))
	}
	return append(out, c.more.Bytes()...)
}

// chooser is a file that every package with mutations has.
func (c *combined) chooser() []byte {
	return fmt.Appendf(nil, "package %s\n\nimport \"os\"\n\nvar theMutant = os.Getenv(%q)\n", c.file.Name.Name, variable)
}

// chooserName is where that file is to be.
func chooserName(file string) string { return filepath.Join(filepath.Dir(file), "themutant.go") }
