// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// The state of the unit decides the remedy.
func TestService(t *testing.T) {
	s := machine(t)
	s.wants("service", "skipped: systemd is not the init system of this machine")
	for name, tc := range map[string]struct {
		unit map[string]string
		want []string // "verdict: found → fix"
	}{
		"runs": {map[string]string{"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"},
			[]string{"ok: digestd.service is active (running)"}},
		"unknown": {map[string]string{"LoadState": "not-found", "ActiveState": "inactive"},
			[]string{"fail: systemd has no unit digestd.service → dnf install digestd"}},
		"masked": {map[string]string{"LoadState": "masked", "ActiveState": "inactive"},
			[]string{"fail: digestd.service is masked: it cannot start → systemctl unmask digestd && systemctl enable --now digestd"}},
		"failed": {map[string]string{"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code", "NRestarts": "5", "UnitFileState": "enabled"},
			[]string{"fail: digestd.service keeps failing: exit-code, restarted 5 times → journalctl -u digestd -n 30"}},
		"comes and goes": {map[string]string{"LoadState": "loaded", "ActiveState": "activating", "SubState": "auto-restart", "Result": "signal", "NRestarts": "2", "UnitFileState": "static"},
			[]string{"fail: digestd.service keeps failing: signal, restarted 2 times → journalctl -u digestd -n 30"}},
		"stopped": {map[string]string{"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"},
			[]string{"fail: digestd.service is inactive → systemctl enable --now digestd"}},
		"not at boot": {map[string]string{"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "disabled"},
			[]string{"ok: digestd.service is active (running)", "warn: digestd.service is disabled: it will not start at the next boot → systemctl enable digestd"}},
		"changed": {map[string]string{"LoadState": "loaded", "ActiveState": "reloading", "SubState": "reload", "UnitFileState": "linked", "NeedDaemonReload": "yes"},
			[]string{"ok: digestd.service is reloading (reload)", "warn: digestd.service changed since systemd read it → systemctl daemon-reload && systemctl restart digestd"}},
	} {
		p := &patient{Machine: &s.Machine, name: "service"}
		p.service(tc.unit)
		var got []string
		for _, f := range p.findings {
			line := string(f.Verdict) + ": " + f.Found
			if f.Fix != "" {
				line += " → " + f.Fix
			}
			got = append(got, line)
		}
		if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

func TestDaemon(t *testing.T) {
	s := machine(t)
	s.wants("daemon", "fail: nobody is there → systemctl start digestd")
	s.Status = func(context.Context) (api.Status, error) { return api.Status{}, NoBus{errors.New("no bus")} }
	s.wants("daemon", "fail: no bus → systemctl start dbus")
	st := api.Status{Version: "1", Packages: 5, Lists: api.Counts{Withheld: 2}}
	s.Status = func(context.Context) (api.Status, error) { return st, nil }
	s.wants("daemon", "ok: digestd 1 answers; 3 of 5 packages are vouched for")
	st.Problems = []api.Problem{{Severity: api.SeverityError, Text: "an error", Advice: "mend it"}, {Severity: api.SeverityWarning, Text: "a warning"},
		{Severity: api.SeverityNotice, Text: "a notice"}}
	st.Version = "0.9"
	s.wants("daemon", "warn: digestd 0.9 is running, but 1 is installed → systemctl restart digestd", "fail: an error", "warn: a warning")
	if f := s.Examine(t.Context(), "daemon"); f[1].Advice != "mend it" {
		t.Errorf("advice is %q", f[1].Advice)
	}
	s.write("digestd.conf", "bus = \"none\"\n")
	s.wants("daemon", `skipped: digestd is not on D-Bus, by its configuration: bus = "none"`)
}

// The database is one of rpm's own.
func TestDatabase(t *testing.T) {
	s := machine(t)
	base := "root = " + `"/"` + "\ndbpath = "
	conf := func(dir string) { s.write("digestd.conf", base+`"`+s.path(dir)+"\"\n") }
	conf("nothing")
	s.wants("database", "fail: …")
	if f := s.Examine(t.Context(), "database")[0]; f.Fix != "rpm --eval %_dbpath" || !strings.Contains(f.Advice, "set dbpath in") {
		t.Errorf("no database: %+v", f)
	}
	root := &pkgtest.Root{Dir: "/", Macros: []string{"_dbpath " + s.path("db")}}
	p := pkgtest.Package{Name: "tool", Version: "1", Release: "1", Arch: "noarch", Files: map[string]string{"/opt/tool": "x"}}
	file, err := p.Build(s.top)
	if err == nil {
		err = root.Run("--initdb")
	}
	if err == nil {
		err = root.Run("-i", "--justdb", "--nodeps", "--noplugins", "--nosignature", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	conf("db")
	s.Status = func(context.Context) (api.Status, error) {
		return api.Status{Packages: 1, DatabasePath: s.path("db")}, nil
	}
	s.wants("database", "ok: sqlite database in TOP/db, 1 package")
	s.Status = func(context.Context) (api.Status, error) {
		return api.Status{Packages: 2, DatabasePath: s.path("db")}, nil
	}
	s.wants("database", "ok: sqlite database in TOP/db, 1 package", "warn: digestd knows 2 packages → digestctl sync")
	s.Status = func(context.Context) (api.Status, error) { return api.Status{Packages: 1, DatabasePath: s.top}, nil }
	s.wants("database", "ok: sqlite database in TOP/db, 1 package", "fail: digestd reads the database in TOP → systemctl restart digestd")
	s.Status = func(context.Context) (api.Status, error) { return api.Status{Transaction: true}, nil }
	s.wants("database", "ok: sqlite database in TOP/db, 1 package")
	s.mkdir("berkeley", 0o755)
	s.write("berkeley/Packages", strings.Repeat("\x00", 12)+"\x61\x15\x06\x00"+strings.Repeat("\x00", 4096))
	conf("berkeley")
	if f := s.Examine(t.Context(), "database")[0]; f.Verdict != Fail || f.Fix != "rpm --eval %_db_backend" || f.Advice == "" {
		t.Errorf("Berkeley DB: %+v", f)
	}
	s.write("db/rpmdb.sqlite", strings.Repeat("no database\n", 500))
	conf("db")
	if f := s.Examine(t.Context(), "database")[0]; f.Verdict != Fail || f.Fix != "rpmdb --rebuilddb" {
		t.Errorf("no database at all: %+v", f)
	}
}

// rpm's own macros are what it reads in a home of its own.
func TestPlugin(t *testing.T) {
	s := machine(t)
	t.Setenv("HOME", s.top)
	t.Setenv("XDG_CONFIG_HOME", s.top)
	plugin := s.path("plugins/digestd.so")
	macros := func(text string) {
		t.Helper()
		s.write(".rpmmacros", "%__plugindir "+s.path("plugins")+"\n%_rpmmacrodir "+s.path("macros.d")+"\n"+text)
	}
	macros("%__transaction_digestd %{nil}\n")
	first := func() Finding { t.Helper(); return s.Examine(t.Context(), "plugin")[0] }
	has := func(f Finding, found, fix string) {
		t.Helper()
		if f.Verdict != Fail || !strings.Contains(f.Found, found) || !strings.HasPrefix(f.Fix, fix) {
			t.Errorf("found %+v, want %q mended by %q", f, found, fix)
		}
	}
	has(first(), "does not load the plugin: %__transaction_digestd is not set", "dnf install rpm-plugin-digestd")
	s.write("macros.d/macros.transaction_digestd", "")
	has(first(), "another macro file overrides it", "grep -rs transaction_digestd /etc/rpm ")
	macros("%__transaction_digestd " + plugin + " socket=/elsewhere\n")
	has(first(), "which does not exist: rpm continues without it and reports nothing", reinstallPlugin)
	s.write("plugins/digestd.so", "no program")
	has(first(), "cannot read it: ", reinstallPlugin)
	// A library of this machine that is no plugin.
	libraries, err := filepath.Glob("/usr/lib*/*-linux-gnu*/libm.so.6")
	more, _ := filepath.Glob("/usr/lib64/libm.so.6")
	if libraries = append(libraries, more...); err != nil || len(libraries) == 0 {
		t.Fatalf("this machine has no libm: %v", err)
	}
	library, err := os.ReadFile(libraries[0])
	if err != nil {
		t.Fatal(err)
	}
	s.write("plugins/digestd.so", string(library))
	has(first(), "it has no digestd_hooks", reinstallPlugin)
	// The hooks of rpm's own plugins are what its loader looks for.
	own, _ := filepath.Glob("/usr/lib*/*/rpm-plugins/syslog.so")
	flat, _ := filepath.Glob("/usr/lib*/rpm-plugins/syslog.so")
	if own = append(own, flat...); len(own) == 0 {
		t.Fatal("rpm brought no plugin syslog.so")
	}
	macros("%__plugindir " + filepath.Dir(own[0]) + "\n%__transaction_digestd " + own[0] + " socket=/elsewhere\n")
	got := s.Examine(t.Context(), "plugin")
	if len(got) != 2 || got[0].Verdict != OK || !strings.HasSuffix(got[0].Found, "when digestd is unreachable it would proceed") {
		t.Fatalf("a plugin that fits: %+v", got)
	}
	has(got[1], "the plugin connects to /elsewhere, but digestd listens at "+s.path("hook.sock"), "rpm -E")
	t.Setenv("PATH", s.top)
	if f := first(); f.Verdict != Skipped {
		t.Errorf("without rpm: %+v", f)
	}
}

func TestDNF(t *testing.T) {
	s := machine(t)
	t.Setenv("PATH", s.path("bin"))
	s.mkdir("bin", 0o755)
	s.wants("dnf", "skipped: there is neither dnf nor zypper on this machine")
	s.write("bin/dnf5", "#!/bin/sh\n")
	if err := os.Chmod(s.path("bin/dnf5"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.wants("dnf", "warn: TOP/bin/dnf5 does not load digestd's plugin: rpm refuses packages only after the download → dnf install digestd-dnf5")
	s.write("etc/dnf/libdnf5-plugins/actions.d/digestd.actions", "")
	s.wants("dnf", "ok: TOP/bin/dnf5 loads TOP/etc/dnf/libdnf5-plugins/actions.d/digestd.actions")
}

func TestSpace(t *testing.T) {
	s := machine(t)
	if f := s.Examine(t.Context(), "space"); len(f) != 1 {
		t.Fatalf("two directories of one file system: %+v", f)
	}
	needs.Root(t)
	for options, want := range map[string]string{
		"size=8m":                  "fail: TOP/lists has 8 MiB left: digestd may be unable to write lists and decisions → df -h TOP/lists; df -i TOP/lists",
		"size=1g,nr_inodes=100":    "fail: the file system of TOP/lists has …",
		"size=64m":                 "warn: TOP/lists has 64 MiB left → df -h TOP/lists; df -i TOP/lists",
		"size=1g,nr_inodes=4000":   "warn: the file system of TOP/lists has …",
		"size=11g,nr_inodes=90000": "ok: TOP/lists: 11 GiB and 89999 inodes free",
	} {
		s.mkdir("lists", 0o755)
		if err := unix.Mount("space", s.path("lists"), "tmpfs", 0, options); err != nil {
			t.Fatal(err)
		}
		s.write("digestd.conf", "lists = \""+s.path("lists")+"\"\nstate = \""+s.path("lists/state")+"\"\n")
		s.wants("space", want)
		if err := unix.Unmount(s.path("lists"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The last line that a program writes to standard error is the error, and its output is
// bounded.
func TestOutput(t *testing.T) {
	for script, want := range map[string]string{
		"echo good; echo aside >&2":             "",
		"echo first >&2; echo last >&2; exit 3": "sh: last",
		"exit 4":                                "sh: exit status 4",
	} {
		out, err := output(t.Context(), "sh", "-c", script)
		if want == "" && (err != nil || out != "good\n") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %q, %v, want %q", script, out, err, want)
		}
	}
	if out, err := output(t.Context(), "sh", "-c", "head -c 3000000 /dev/zero"); err != nil || len(out) != maxOutput {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	if _, err := output(t.Context(), "no-such-program-anywhere"); err == nil {
		t.Error("what is not there ran")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := output(ctx, "sleep", "60"); err == nil || err.Error() != "sleep did not finish in time" {
		t.Errorf("it hangs: %v", err)
	}
}
