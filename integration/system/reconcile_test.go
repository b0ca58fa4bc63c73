// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReconcileAnotherRoot: one run of digestd gives a root that rpm filled from
// outside, such as an image, its lists and labels, by its own configuration, and
// writes nothing elsewhere.
func TestReconcileAnotherRoot(t *testing.T) {
	m := newMachine(t)
	root := m.In("root")
	m.ListDir = filepath.Join(root, "etc", "lists")
	reconcile := func() (string, error) {
		out, err := exec.Command(filepath.Join(programs.Dir, "digestd"), "-reconcile", "-root", root).CombinedOutput()
		return string(out), err
	}
	wantLists := func(after string, want ...string) {
		t.Helper()
		entries, err := os.ReadDir(filepath.Join(root, "etc/lists"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: lists are %v, want %v", after, got, want)
		}
	}
	label := func(path string) string {
		buf := make([]byte, 256)
		n, err := unix.Lgetxattr(filepath.Join(root, path), "security.digest_list", buf)
		if err != nil && !errors.Is(err, unix.ENODATA) {
			t.Fatal(err)
		}
		return string(buf[:max(n, 0)])
	}
	drop := filepath.Join(root, "etc/digestd/digestd.conf.d")
	m.OK(os.MkdirAll(drop, 0o755))
	write(t, filepath.Join(root, "etc/digestd/digestd.conf"), []byte("lists = \"/etc/lists\"\n"))
	m.importKey("vendor")
	m.RPM("-U", "--noplugins", m.build("hello-1-1.noarch"), m.build("stray-1-1.noarch", "key="))
	out, err := reconcile()
	if err != nil || !strings.Contains(out, "2 installed, 1 lists made") || !strings.Contains(out, "1 packages without") {
		t.Fatalf("%v\n%s", err, out)
	}
	wantLists("at first", "tlv-hello-0:1-1.noarch")
	if got := label("/usr/bin/hello"); got != "tlv-hello-0:1-1.noarch" {
		t.Errorf("the file has label %q", got)
	}
	m.StateDir = filepath.Join(root, "var/lib/digestd")
	m.Wholesome()

	m.RPM("-U", "--noplugins", m.build("hello-2-1.noarch"))
	if out, err := reconcile(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantLists("after an upgrade", "tlv-hello-0:2-1.noarch")
	if got := label("/usr/bin/hello"); got != "tlv-hello-0:2-1.noarch" {
		t.Errorf("the file has label %q after an upgrade", got)
	}
	// A version that is older than what was active there before is known as such.
	m.RPM("-U", "--noplugins", "--oldpackage", "hello-1-1.noarch.rpm")
	if out, err := reconcile(); err != nil || !strings.Contains(out, "2 packages without") {
		t.Fatalf("%v\n%s", err, out)
	}
	wantLists("after going back")

	for name, test := range map[string]struct {
		harm func() (mend func())
		says string
	}{
		"its configuration is wrong": {func() func() {
			write(t, filepath.Join(drop, "wrong.conf"), []byte("mod = \"audit\"\n"))
			return func() { os.Remove(filepath.Join(drop, "wrong.conf")) }
		}, `unknown key "mod"`},
		"a link leads out": {func() func() {
			outside := t.TempDir()
			if err := os.Rename(m.State(), m.State()+".moved"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, m.State()); err != nil {
				t.Fatal(err)
			}
			return func() {
				if entries, _ := os.ReadDir(outside); len(entries) > 0 {
					t.Errorf("outside is %v", entries)
				}
				os.Remove(m.State())
				os.Rename(m.State()+".moved", m.State())
			}
		}, "cannot create the state directory"},
		"a digestd keeps it": {func() func() {
			m.Start()
			return m.Stop
		}, "another|in use|locked"},
	} {
		mend := test.harm()
		out, err := reconcile()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s: it ended with %v", name, err)
		}
		said := false
		for _, text := range strings.Split(test.says, "|") {
			said = said || strings.Contains(out, text)
		}
		if !said {
			t.Errorf("%s: it said:\n%s", name, out)
		}
		mend()
	}

	cmd := exec.Command(filepath.Join(programs.Dir, "digestd"), "-root", root)
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("digestd -root without -reconcile ended with %v", err)
	}
}
