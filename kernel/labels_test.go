// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/needs"
)

// TestNoLabels: Labels says that a file has no label only where Find and Label do,
// whichever call the kernel knows.
func TestNoLabels(t *testing.T) {
	needs.Root(t)
	root, dir := grove(t)
	write := func(name, label string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil || label == "" {
			return
		}
		f, err := root.Find(name, false)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.SetLabel(label); err != nil {
			t.Fatal(err)
		}
	}
	write("usr/bin/labelled", "tlv-tool")
	write("etc/hosts", "")
	write("etc/.hidden", "tlv-etc")
	write("top", "tlv-top")
	if err := os.Symlink("/usr", filepath.Join(dir, "etc/usr")); err != nil {
		t.Fatal(err)
	}
	paths := []string{
		"/usr/bin/tool", "/usr/bin/labelled", "/bin/labelled", "/bin/tool", "/bin/absent", "/absent/tool", "/usr/bin/tool/x",
		"/etc/hosts", "/etc/.hidden", "/out", "/tool", "/fifo", "/etc/usr/bin/labelled", "/etc/usr/../top", "/../top", "/top",
		"/usr", "/usr/", "/usr/..", "/usr/.", "top", "", "/" + strings.Repeat("x", 300), "/usr/bin/labelled\x00", "/up/secret",
	}
	// So many directories that those opened first are closed again.
	for i := range 2 * mostDirs {
		name := fmt.Sprintf("many%d/file", i)
		write(name, "tlv-many")
		paths = append(paths, "/"+name, "/usr/bin/labelled", fmt.Sprintf("/many%d/absent", i))
	}
	for _, slow := range []bool{false, true} {
		labels := root.Labels()
		labels.slow = slow
		for _, path := range paths {
			label := ""
			if f, err := root.Find(path, false); err == nil {
				if label, err = f.Label(); err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
			none := labels.None(path)
			if none && label != "" {
				t.Errorf("slow %t: %s has the label %q, and it is said to have none", slow, path, label)
			}
			odd := strings.HasSuffix(path, ".") || strings.HasSuffix(path, "/") || !strings.HasPrefix(path, "/") || len(path) > 255 || strings.Contains(path, "\x00")
			if !odd && label == "" && !none {
				t.Errorf("slow %t: %s has no label, and that is not said", slow, path)
			}
			if odd && none {
				t.Errorf("slow %t: something is said of %q", slow, path)
			}
		}
		if open := len(labels.dirs); open > mostDirs {
			t.Errorf("%d directories are open", open)
		}
		labels.Close()
	}
}

// TestLabelsWithoutDirectory: nothing is said of files in a directory that cannot be
// looked into.
func TestLabelsWithoutDirectory(t *testing.T) {
	root, dir := grove(t)
	if err := os.Symlink("round", filepath.Join(dir, "round")); err != nil {
		t.Fatal(err)
	}
	labels := root.Labels()
	defer labels.Close()
	if labels.None("/round/tool") {
		t.Error("what a circle of links leads to has no label")
	}
	if !labels.None("/usr/bin/tool") {
		t.Error("a new file has a label")
	}
}
