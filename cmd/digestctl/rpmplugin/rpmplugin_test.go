// SPDX-License-Identifier: Apache-2.0

package rpmplugin_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/rpmplugin"
	"github.com/digestd/digestd/integration/needs"
)

// TestNoPlugin tries files that are no plugins.
func TestNoPlugin(t *testing.T) {
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

// installed has files of this machine's rpm: its program, one of its plugins with the
// functions that it takes from rpm's libraries, and one of these libraries.
type installed struct {
	rpm, plugin, library string
	functions            []string // that the plugin takes
}

func findInstalled(t *testing.T) (i installed) {
	t.Helper()
	needs.Programs(t, "rpm")
	var err error
	if i.rpm, err = exec.LookPath("rpm"); err != nil {
		t.Fatal(err)
	}
	one := func(patterns ...string) string {
		t.Helper()
		for _, pattern := range patterns {
			if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
				return found[0]
			}
		}
		t.Fatalf("rpm brought no %s", filepath.Base(patterns[0]))
		return ""
	}
	i.plugin = one("/usr/lib64/rpm-plugins/syslog.so", "/usr/lib/rpm-plugins/syslog.so", "/usr/lib/*-linux-gnu*/rpm-plugins/syslog.so")
	library := needed(t, i.plugin, "librpm.so.")
	i.library = one("/usr/lib64/"+library, "/usr/lib/*-linux-gnu*/"+library)
	f, err := elf.Open(i.plugin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if strings.HasPrefix(s.Name, "rpmte") { // these are of librpm
			i.functions = append(i.functions, s.Name)
		}
	}
	if len(i.functions) == 0 {
		t.Fatalf("%s takes no function of librpm: %v", i.plugin, symbols)
	}
	return i
}

// needed returns the library with this prefix that a file was linked with.
func needed(t *testing.T, file, prefix string) string {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, lib := range libraries {
		if strings.HasPrefix(lib, prefix) {
			return lib
		}
	}
	t.Fatalf("%s was not linked with %s: %v", file, prefix, libraries)
	return ""
}

// changed writes a copy of a file in which names are others of the same length.
func changed(t *testing.T, from, to string, names ...string) string {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(names); i += 2 {
		was, is := []byte(names[i]+"\x00"), []byte(names[i+1]+"\x00")
		if len(was) != len(is) || !bytes.Contains(data, was) {
			t.Fatalf("%s has no %s that can become %s", from, names[i], names[i+1])
		}
		data = bytes.ReplaceAll(data, was, is)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestFits tries a plugin of this machine's rpm, and copies of it and of rpm that are of
// different builds.
func TestFits(t *testing.T) {
	own, dir := findInstalled(t), t.TempDir()
	library, function := filepath.Base(own.library), own.functions[0]
	older, absent := library[:len(library)-1]+"0", strings.ToUpper(function)
	used := function[:len(function)-len("_hooks")]
	beside := filepath.Join(dir, "lib")
	changed(t, own.library, filepath.Join(beside, library), function, absent)
	bad := filepath.Join(dir, "bad")
	changed(t, "/dev/null", filepath.Join(bad, library))
	for _, tc := range []struct{ name, rpm, file, plugins, want string }{
		{"of this rpm", own.rpm, own.plugin, filepath.Dir(own.plugin), ""},
		{"with an empty library beside", own.rpm, own.plugin, filepath.Join(bad, "plugins"), ""},
		{"under another name", own.rpm, changed(t, own.plugin, filepath.Join(dir, "digestd.so")), dir, "it has no digestd_hooks"},
		{"with a table that it only uses", own.rpm, changed(t, own.plugin, filepath.Join(dir, used+".so"), function, used+"_hooks"), dir, "it has no " + used + "_hooks"},
		{"of a library with another version", changed(t, own.rpm, filepath.Join(dir, "rpm"), library, older), own.plugin, dir,
			"it was built for another rpm: it needs " + library + ", rpm has " + older},
		{"with a function that no library has", own.rpm, changed(t, own.plugin, filepath.Join(dir, "a/syslog.so"), function, absent), filepath.Join(dir, "a"),
			"it was built for another rpm: it needs " + absent},
		{"with a function that the library beside lacks", own.rpm, own.plugin, filepath.Join(beside, "plugins"), "it was built for another rpm: it needs " + function},
		{"of libraries that are nowhere", changed(t, own.rpm, filepath.Join(dir, "b/rpm"), library, older), changed(t, own.plugin, filepath.Join(dir, "b/syslog.so"), library, older),
			filepath.Join(dir, "b"), ""},
	} {
		switch err := rpmplugin.Fits(tc.rpm, tc.file, tc.plugins); {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || err.Error() != tc.want):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}
