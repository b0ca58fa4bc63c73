// SPDX-License-Identifier: Apache-2.0

// Package install_test looks at what make install and the packages of make rpm
// lay down: units that systemd understands and that confine what they start, and
// packages that every rpm installs, verifies, upgrades and removes.
//
// integration/vm tests the units on a machine that boots.
package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const units = "../../systemd"

// systemds are those that judge the units: this machine's, and that of the
// machine that integration/vm boots.
func systemds(t *testing.T) map[string]func(args ...string) *exec.Cmd {
	t.Helper()
	all := map[string]func(args ...string) *exec.Cmd{
		"host": func(args ...string) *exec.Cmd { return exec.Command("systemd-analyze", args...) },
	}
	guest := filepath.Join(cache(), "vm/root")
	if _, err := os.Stat(filepath.Join(guest, "usr/bin/systemd-analyze")); err == nil {
		all["guest"] = func(args ...string) *exec.Cmd {
			return exec.Command("chroot", append([]string{guest, "systemd-analyze"}, args...)...)
		}
	}
	return all
}

func cache() string {
	if dir := os.Getenv("DIGESTD_TEST_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/digestd-test"
}

// TestUnitsConfine: systemd's own measure of what a service could do is at most
// 2.5.
func TestUnitsConfine(t *testing.T) {
	services, err := filepath.Glob(filepath.Join(units, "*.service"))
	if err != nil || len(services) < 2 {
		t.Fatal(services, err)
	}
	for _, service := range services {
		data, err := os.ReadFile(service)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "[D-BUS Service]") {
			continue
		}
		for name, analyze := range systemds(t) {
			dir := scratch(t, name)
			install(t, service, dir.outside)
			cmd := analyze("security", "--no-pager", "--offline=true", "--threshold=25", filepath.Join(dir.inside, filepath.Base(service)))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s, %s: %v\n%s", name, filepath.Base(service), err, out)
			}
		}
	}
}

// TestUnitsAreUnderstood: systemd finds nothing to complain of, but for what is
// younger than itself.
func TestUnitsAreUnderstood(t *testing.T) {
	// notify-reload is of 253, the steps between restarts are of 254.
	young := regexp.MustCompile(`notify-reload|'RestartSteps'|'RestartMaxDelaySec'`)
	for name, analyze := range systemds(t) {
		dir := scratch(t, name)
		names, err := filepath.Glob(filepath.Join(units, "digestd*.[st][eoi]*"))
		if err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, unit := range names {
			data, err := os.ReadFile(unit)
			if err != nil {
				t.Fatal(err)
			}
			// The program need not be here, nor the manual.
			text := strings.NewReplacer("/usr/sbin/digestd-guard", "/bin/true", "/usr/sbin/digestd", "/bin/true", "/usr/bin/digestctl", "/bin/true").Replace(string(data))
			text = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(text, "")
			base := strings.Replace(filepath.Base(unit), "@.", "@tmp.", 1)
			if err := os.WriteFile(filepath.Join(dir.outside, base), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.Join(dir.inside, base))
		}
		out, err := analyze(append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, dir.inside) || strings.Contains(line, "digestd") {
				if name == "host" && young.MatchString(line) {
					continue
				}
				t.Errorf("%s (%v): %s", name, err, line)
			}
		}
	}
}

// TestPresets: of all that can be enabled the preset file enables digestd alone, on a system
// that disables what no preset names and on one that enables it.
func TestPresets(t *testing.T) {
	for _, others := range []string{"disable *", "enable *"} {
		root := t.TempDir()
		dir := func(of string) string { return filepath.Join(root, "usr/lib/systemd", of) }
		command(t, "mkdir", "-p", dir("system"), dir("system-preset"), filepath.Join(root, "etc"))
		command(t, "sh", "-c", `cp "$1"/digestd*.service "$1"/digestd*.socket "$1"/digestd*.timer "$2" && cp "$1/digestd.preset" "$3/85-digestd.preset" && echo "$4" >"$3/99-default.preset"`,
			"sh", units, dir("system"), dir("system-preset"), others)
		command(t, "systemctl", "--root="+root, "preset-all")
		enabled, err := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.wants/*"))
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range enabled {
			enabled[i] = filepath.Base(e)
		}
		slices.Sort(enabled)
		if want := []string{"digestd.service", "digestd.socket"}; !slices.Equal(enabled, want) {
			t.Errorf("after %q, enabled are %v, want %v", others, enabled, want)
		}
	}
}

type place struct{ inside, outside string }

// scratch is a directory that a systemd sees under another name.
func scratch(t *testing.T, name string) place {
	t.Helper()
	root := "/"
	if name == "guest" {
		root = filepath.Join(cache(), "vm/root")
	}
	dir, err := os.MkdirTemp(filepath.Join(root, "tmp"), "digestd-units-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return place{"/tmp/" + filepath.Base(dir), dir}
}

func install(t *testing.T, file, dir string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
