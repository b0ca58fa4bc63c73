// SPDX-License-Identifier: Apache-2.0

package pkgtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Failpoints are the instants at which the daemon can be made to die, as its source
// names them, sorted: those whose names begin so. There must be at least so many.
func Failpoints(tb testing.TB, prefix string, least int) []string {
	tb.Helper()
	source, err := sourceTree()
	if err != nil {
		tb.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(source, "daemon", "*.go"))
	if err != nil {
		tb.Fatal(err)
	}
	hit := regexp.MustCompile(`failpoint\.Hit\("(` + prefix + `[a-z-]+)"\)`)
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		for _, match := range hit.FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < least {
		tb.Fatalf("the source names only the failpoints %q", names)
	}
	return names
}
