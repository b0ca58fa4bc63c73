// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"path"
	"regexp"
	"slices"
	"testing"
)

// The parts of the rpm plugin in their order: each may include those before it.
// Those up to link can be compiled, tested and fuzzed without librpm.
var pluginParts = []string{"wire", "wait", "link", "options", "say", "compat", "elements", "label", "exchange", "plugin"}

const withoutRPM = 3

func TestPluginPartsIncludeDownwards(t *testing.T) {
	include := regexp.MustCompile(`(?m)^#include [<"](rpm/)?([^>"]+)\.h[>"]`)
	seen := 0
	for _, f := range files(t) {
		if f.dir() != "hooks/rpm" || f.ext() != ".c" && f.ext() != ".h" {
			continue
		}
		name := path.Base(f.path[:len(f.path)-2])
		part := slices.Index(pluginParts, name)
		if part < 0 {
			t.Errorf("%s is no known part of the plugin", f.path)
			continue
		}
		seen++
		for _, m := range include.FindAllSubmatch(f.data, -1) {
			other := slices.Index(pluginParts, string(m[2]))
			switch {
			case len(m[1]) > 0:
				if part < withoutRPM {
					t.Errorf("%s includes rpm/%s.h", f.path, m[2])
				}
			// options and say are one step: what is wrong with an option is said.
			case other > part && !(name == "options" && string(m[2]) == "say"):
				t.Errorf("%s includes %s.h, which is above it", f.path, m[2])
			}
		}
	}
	if seen < len(pluginParts) {
		t.Errorf("only %d files of the plugin are there", seen)
	}
}
