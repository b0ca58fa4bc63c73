// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/bus"
)

// digestctl calls digestd by the typed methods of its client alone, which a test
// there holds to the table of the bus: no other package of it speaks D-Bus, or
// names a method in a text.
func TestOnlyTheClientSpeaksDBus(t *testing.T) {
	const command, client = "cmd/digestctl", "cmd/digestctl/client"
	var methods []string
	for _, m := range bus.Methods() {
		methods = append(methods, m.Name)
	}
	seen := 0
	for _, s := range sources(t) {
		if s.test() || s.dir() == client || s.dir() != command && !strings.HasPrefix(s.dir(), command+"/") {
			continue
		}
		seen++
		for _, imported := range s.imports() {
			if strings.HasPrefix(imported, "github.com/godbus/dbus/") || imported == module+"daemon/bus" {
				t.Errorf("%s imports %s", s.path, imported)
			}
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(methods, text) {
				t.Errorf("%s names the method %s in a text", s.path, text)
			}
			return true
		})
	}
	if seen == 0 {
		t.Errorf("%s has no files", command)
	}
}
