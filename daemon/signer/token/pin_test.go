// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/signer/token"
	"github.com/digestd/digestd/integration/needs"
	"golang.org/x/sys/unix"
)

func TestReadPIN(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		file("plain", "1234\n", 0o600):        "1234",
		file("bare", "1 2 3", 0o400):          "1 2 3",
		file("lines", "first\nsecond", 0o600): "first",
	} {
		if got, err := token.ReadPIN(path); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	other := file("other", "1234\n", 0o600)
	if err := os.Chown(other, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	link, fifo := filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := os.Symlink("plain", link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"):                  "no such file",
		file("open", "1234\n", 0o640):                 "mode 0640 lets others read",
		file("empty", "", 0o600):                      "has 0 bytes",
		file("long", strings.Repeat("1", 300), 0o600): "want 1 to 256",
		other: "belongs to user 12345",
		link:  "too many levels of symbolic links",
		fifo:  "not a regular file",
		dir:   "not a regular file",
	} {
		got, err := token.ReadPIN(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", path, err, want)
		}
		if got != "" {
			t.Errorf("%s: a PIN besides the error", path)
		}
	}
}
