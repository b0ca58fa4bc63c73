// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/digestd/digestd/cmd/digestctl/schematest"
)

// schemas are those that a digestctl has made, by its path and the verb.
var schemas sync.Map

// schema asks digestctl for the schema of a verb, once, and returns nil if it has none.
func (p Programs) schema(verb ...string) []byte {
	program := filepath.Join(p.Dir, "digestctl")
	made, _ := schemas.LoadOrStore(program+" "+strings.Join(verb, " "), sync.OnceValue(func() []byte {
		text, err := exec.Command(program, append([]string{"schema"}, verb...)...).Output()
		if err != nil || !json.Valid(text) {
			return nil
		}
		return text
	}))
	return made.(func() []byte)()
}

// fitsSchema compares what a command line with --json printed with the schema of its verb.
func (m *Machine) fitsSchema(args []string, printed string) {
	m.Helper()
	words := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-") })
	if !slices.Contains(args, "--json") || printed == "" {
		return
	}
	if len(words) == 0 {
		words = []string{"status"}
	}
	// A word may be a verb or an argument: the longest verb counts.
	for n := min(2, len(words)); n > 0; n-- {
		s := m.Programs.schema(words[:n]...)
		if s == nil {
			continue
		}
		if err := schematest.Check(s, []byte(printed)); err != nil {
			m.Fatalf("digestctl %s printed what its schema does not permit: %v\n%s", strings.Join(args, " "), err, printed)
		}
		return
	}
	// A digestctl of an older release has no schemas.
	if m.Programs.schema("status") != nil {
		m.Fatalf("no schema of digestctl %s", strings.Join(args, " "))
	}
}
