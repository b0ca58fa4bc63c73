// SPDX-License-Identifier: Apache-2.0

package needed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// On this machine, what the loader says that a program links is needed, and so is what this
// process is; a program that nobody needs is not.
func TestThisMachine(t *testing.T) {
	f := Find("/")
	for _, program := range []string{"/usr/bin/rpm", "/usr/bin/bash", "/usr/bin/gpg"} {
		out, err := exec.Command("ldd", program).Output()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(out)) {
			fields := strings.Fields(line)
			for _, w := range fields {
				if filepath.IsAbs(w) {
					n++
					if f.Why(w) == "" {
						t.Errorf("%s, which %s links, is not needed", w, program)
					}
				}
			}
		}
		if n < 2 || f.Why(program) == "" {
			t.Errorf("%s links %d libraries, needed: %q", program, n, f.Why(program))
		}
	}
	// systemd loads what it needs only now and then by its name.
	if data, err := os.ReadFile("/usr/lib/systemd/systemd"); err == nil && strings.Contains(string(data), "libcryptsetup.so.12") {
		if found, _ := filepath.Glob("/usr/lib/*/libcryptsetup.so.12"); len(found) > 0 && f.Why(found[0]) == "" {
			t.Errorf("%s is not needed", found[0])
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(f.Why(self), "has loaded it") {
		t.Errorf("%s: %q", self, f.Why(self))
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if f.Why("/usr/lib/modules/"+strings.TrimSpace(string(release))+"/kernel/x.ko") == "" {
		t.Error("a module of the kernel that runs is not needed")
	}
	for _, path := range []string{"/usr/bin/zip", "/usr/share/doc/zip/copyright"} {
		if why := f.Why(path); why != "" {
			t.Errorf("%s: %s", path, why)
		}
	}
	if f.Len() < 50 {
		t.Errorf("only %d files are needed", f.Len())
	}
}

// In another root, links stay inside, and the processes of this machine are no matter.
func TestAnotherRoot(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"usr/bin", "usr/lib64", "etc/ld.so.conf.d", "opt/lib"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"usr/bin/dnf-3": "#!/usr/bin/python3.9 -s\n", "usr/bin/python3.9": "no program", "etc/ld.so.conf.d/x.conf": "/opt/lib\n"} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile("/usr/bin/rpm")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr/bin/rpm"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"usr/bin/dnf": "dnf-3", "usr/bin/sh": "/usr/bin/sh", "opt/lib/librpm.so.9": "librpm.so.9.9", "opt/lib/librpm.so.10": "librpm.so.9.9"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	f := Find(root)
	for _, path := range []string{"/usr/bin/dnf", "/bin/dnf-3", "/usr/bin/python3.9", "/usr/lib/python3.9/os.py", "/usr/lib64/python3/site-packages/dnf/x.py", "/usr/bin/sh"} {
		if f.Why(path) == "" {
			t.Errorf("%s is not needed", path)
		}
	}
	if f.Why("/opt/lib/librpm.so.9") == "" && f.Why("/opt/lib/librpm.so.10") == "" {
		t.Error("what the loader is told of is not looked into")
	}
	self, _ := os.Executable()
	if why := f.Why(self); why != "" {
		t.Errorf("%s: %s", self, why)
	}
}
