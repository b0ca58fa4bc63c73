// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"debug/elf"
	"path/filepath"
	"slices"
	"testing"
)

// The other tests that run under the sanitizers prove nothing unless these look.
// A plugin that calls the address sanitizer does not load without it.
func TestSanitizersLook(t *testing.T) {
	b := newBox(t, sanitized)
	plugin, err := elf.Open(b.m.Outside(filepath.Join(b.m.dir, "plugin", "digestd.so")))
	if err != nil {
		t.Fatal(err)
	}
	defer plugin.Close()
	imported, err := plugin.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"__asan_init", "__ubsan_handle_type_mismatch_v1_abort"} {
		if !slices.ContainsFunc(imported, func(s elf.ImportedSymbol) bool { return s.Name == want }) {
			t.Errorf("the plugin does not call %s", want)
		}
	}
	b.ok("-U", "plain-1")
	b.wantTrace("begin [+plain-1@0]", "header plain-1@0", "installed plain-1@n", "end 0")
}
