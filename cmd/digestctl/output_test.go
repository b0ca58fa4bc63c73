// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/report"
	"github.com/digestd/digestd/daemon/api"
)

// A link in the place of an output leads nowhere: neither the file that it leads to
// is written, nor is one made there.
func TestOutputsFollowNoLinks(t *testing.T) {
	dir := t.TempDir()
	victim, absent := filepath.Join(dir, "victim"), filepath.Join(dir, "absent")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	entry := "bin:0123456789abcdef"
	retired := []api.Retired{{List: "tlv-a", Entry: entry}}
	writers := map[string]func(string) error{
		"output":                         func(path string) error { return writeOutput(path, []byte("new"), 0o644) },
		"report":                         func(path string) error { return writeWhole(path, &report.Report{}) },
		"new":                            func(path string) error { return writeNew(path, "new") },
		"tlv-a." + entry[len(entry)-16:]: func(path string) error { return writeEntries(filepath.Dir(path), retired) },
	}
	for name, write := range writers {
		for _, to := range []string{victim, absent} {
			path := filepath.Join(dir, name)
			os.Remove(path)
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
			if err := write(path); err == nil {
				t.Errorf("%s was written through a link", name)
			}
			if data, err := os.ReadFile(victim); string(data) != "precious" {
				t.Errorf("%s: what the link leads to is %q, %v", name, data, err)
			}
			if _, err := os.Lstat(absent); err == nil {
				t.Errorf("%s: the link's end was made", name)
			}
			os.Remove(path)
			if err := write(path); err != nil {
				t.Errorf("%s cannot be written without a link: %v", name, err)
			}
		}
	}
}
