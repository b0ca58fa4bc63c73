// SPDX-License-Identifier: Apache-2.0

package rpmplugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/rpmplugin"
)

// TestFits tries files that are no plugins; doctor's tests have plugins of rpm itself.
func TestFits(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	itself, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	script, text, other := write("script", []byte("#!/bin/sh\n")), write("text.so", []byte("no program")), write("digestd.so", itself)
	foreign := append([]byte(nil), itself...)
	foreign[18] ^= 0x40 // the machine, in the header of ELF
	for name, tc := range map[string]struct{ rpm, file, want string }{
		"none":                {program, filepath.Join(dir, "none.so"), "cannot read it"},
		"a text":              {program, text, "cannot read it"},
		"of another machine":  {program, write("foreign.so", foreign), "it is for "},
		"without hooks":       {program, other, " no "}, // linked by C it has symbols, and no digestd_hooks
		"for a script of rpm": {script, other, ""},
	} {
		err := rpmplugin.Fits(tc.rpm, tc.file, dir)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
