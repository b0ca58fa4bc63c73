// SPDX-License-Identifier: Apache-2.0

package userfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/cmd/digestctl/userfile"
	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist/imalog"
	"golang.org/x/sys/unix"
)

// place is a directory with these files; a name with a slash has directories.
func place(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadBounded(t *testing.T) {
	dir := place(t, map[string]string{"five": "12345", "empty": ""})
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, want, fails string
	}{
		{"five", "12345", ""},
		{"empty", "", ""},
		{"fifo", "", ""}, // which nobody writes to: it must keep nobody waiting
		{"absent", "", "there is no file "},
		{".", "", "is a directory"},
		{"five/below", "", "not a directory"},
	} {
		data, err := userfile.ReadBounded(t.Context(), filepath.Join(dir, tc.name), 5)
		if string(data) != tc.want || (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: %q, %v", tc.name, data, err)
		}
		if absent := errors.As(err, new(userfile.NoFileError)); absent != (tc.name == "absent") {
			t.Errorf("%s: told to be absent: %v", tc.name, absent)
		}
	}
	var large *api.Error
	if _, err := userfile.ReadBounded(t.Context(), filepath.Join(dir, "five"), 4); !errors.As(err, &large) || large.Code != api.InvalidArgument {
		t.Errorf("a file of 5 bytes where 4 are allowed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := userfile.ReadBounded(ctx, filepath.Join(dir, "five"), 5); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// "link/.." is above where the link leads, as the kernel reads it; a link at the end
// stays for digestd to follow.
func TestAbsolute(t *testing.T) {
	dir := place(t, map[string]string{"real/deep/file": "", "beside": ""})
	if err := os.Symlink("real/deep", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for path, want := range map[string]string{
		"beside":            "beside",
		"./beside":          "beside",
		"link":              "link",
		"link/file":         "link/file",
		"link/../deep/file": "real/deep/file",
		"link/..":           "real",
		"absent/../x":       "x",
		"real/../link":      "link",
	} {
		got, err := userfile.Absolute(path)
		if err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, %v, want %s", path, got, err, filepath.Join(dir, want))
		}
	}
}

func TestEachMeasured(t *testing.T) {
	line := "10 " + strings.Repeat("0", 40) + " ima-ng sha256:" + strings.Repeat("ab", 32) + " /usr/bin/x\n"
	dir := place(t, map[string]string{"good": line + line, "bad": line + "10 short\n"})
	count := func(name string) (n int, err error) {
		err = userfile.EachMeasured(filepath.Join(dir, name), func(e imalog.Entry) error {
			if string(e.Path) != "/usr/bin/x" {
				t.Errorf("%s has path %q", name, e.Path)
			}
			n++
			return nil
		})
		return n, err
	}
	if n, err := count("good"); n != 2 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	for name, want := range map[string]string{"bad": "line 2", "absent": "cannot read measurements: open"} {
		if _, err := count(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	stop := errors.New("enough")
	if err := userfile.EachMeasured(filepath.Join(dir, "good"), func(imalog.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("it went on after %v", err)
	}
}
