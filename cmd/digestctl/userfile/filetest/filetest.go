// SPDX-License-Identifier: Apache-2.0

// Package filetest tests that code which writes files named by a user keeps the rules of
// package userfile.
package filetest

import (
	"os"
	"path/filepath"
	"testing"
)

// FollowsNoLink has a file of a name written whose place a symbolic link has: neither
// the file that it leads to may be written, nor one be made there. Without the link
// the file must be written.
func FollowsNoLink(t *testing.T, name string, write func(path string) error) {
	t.Helper()
	dir := t.TempDir()
	victim, absent := filepath.Join(dir, "victim"), filepath.Join(dir, "absent")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{victim, absent} {
		path := filepath.Join(dir, name)
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
		os.Remove(path)
	}
}
