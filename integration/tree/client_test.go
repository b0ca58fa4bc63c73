// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
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
		if s.test() || s.dir() == client || s.dir() != command && !strings.HasPrefix(s.dir(), command+"/") || strings.HasSuffix(s.dir(), "test") {
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

// digestctlRooms are the packages of digestctl, the upper first: packages import
// what is below them, and no peer in their layer. Those of verbs are not named: they
// are above cli and below main.
var digestctlRooms = [][]string{
	{"cli"},
	{"client", "userfile", "report", "rpmfile"},
	{"terminal", "doctor", "scan"},
	{"rpmplugin"},
}

// maxRoom bounds a package of digestctl, in lines without its tests.
const maxRoom = 1500

func TestRoomsOfDigestctl(t *testing.T) {
	const command = "cmd/digestctl"
	// depth is how far below main a package is.
	depth := func(dir string) int {
		name, below := strings.CutPrefix(dir, command+"/")
		if !below {
			return 0
		}
		for i, peers := range digestctlRooms {
			if slices.Contains(peers, name) {
				return i + 2
			}
		}
		return 1
	}
	lines := map[string]int{}
	for _, s := range sources(t) {
		if s.test() || s.dir() != command && !strings.HasPrefix(s.dir(), command+"/") || strings.HasSuffix(s.dir(), "test") {
			continue
		}
		lines[s.dir()] += bytes.Count(s.data, []byte("\n"))
		for _, imported := range s.imports() {
			to, ours := strings.CutPrefix(imported, module)
			if ours && strings.HasPrefix(to, command+"/") && depth(to) <= depth(s.dir()) {
				t.Errorf("%s imports %s, which is not below it", s.path, to)
			}
		}
	}
	for dir, n := range lines {
		if n > maxRoom {
			t.Errorf("%s has %d lines, want at most %d", dir, n, maxRoom)
		}
	}
	if n := lines[command]; n == 0 || n > 150 {
		t.Errorf("%s has %d lines: it assembles verbs, and has none of its own", command, n)
	}
}
