// SPDX-License-Identifier: Apache-2.0

// Package verify_test compares disks with lists as an administrator does: real
// rpm installs packages that rpmbuild made, somebody spoils what it installed,
// and digestctl tells, and puts right what it can.
package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/google/go-cmp/cmp"
)

var (
	programs pkgtest.Programs
	packages string // a directory of what build made
	vendor   *pkgtest.GPG
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot set the tests up:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "digestd-verify-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if programs, err = pkgtest.BuildPrograms(dir); err != nil {
		return 1, err
	}
	if vendor, err = pkgtest.NewGPG(dir, "Vendor", "rsa3072"); err != nil {
		return 1, err
	}
	defer vendor.Close()
	if packages, err = build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// spec makes a package with a file of each role, one with what is plain, and one
// that nobody signs.
const spec = `
Name: tool
Version: 1
Release: 1
Summary: tool
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
%description
tool
%package plain
AutoReqProv: no
Summary: plain
%description plain
plain
%package unsigned
AutoReqProv: no
Summary: unsigned
%description unsigned
unsigned
%install
cd %{buildroot}
mkdir -p usr/bin usr/lib/tool etc var/log usr/share/doc/tool
for f in tool plain unsigned; do echo "#!/bin/sh
echo $f" >usr/bin/$f; chmod 755 usr/bin/$f; done
ln usr/bin/tool usr/bin/twin
echo data >usr/lib/tool/data
echo optional >usr/lib/tool/optional
echo text >usr/share/doc/tool/README
for f in one two; do echo $f >etc/tool-$f.conf; done
touch var/log/tool.log
%files
/usr/bin/tool
/usr/bin/twin
/usr/lib/tool/data
%config(missingok) /usr/lib/tool/optional
%config(noreplace) /etc/tool-one.conf
%config(noreplace) /etc/tool-two.conf
%doc /usr/share/doc/tool/README
%ghost %attr(0755,root,root) /var/log/tool.log
%files plain
/usr/bin/plain
%files unsigned
/usr/bin/unsigned
`

func build(dir string) (string, error) {
	top := filepath.Join(dir, "rpmbuild")
	if err := os.Mkdir(top, 0o755); err != nil {
		return "", err
	}
	files, err := pkgtest.BuildSpec(top, spec)
	if err != nil {
		return "", err
	}
	signed := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return filepath.Base(f) == "tool-unsigned-1-1.noarch.rpm" })
	if len(files) != 3 || len(signed) != 2 {
		return "", fmt.Errorf("rpmbuild made %v", files)
	}
	return filepath.Dir(files[0]), vendor.Sign(signed...)
}

// machine is a root with packages and a daemon.
type machine struct {
	*testing.T
	root   *pkgtest.Root
	daemon *pkgtest.Daemon
}

func newMachine(t *testing.T, config ...string) *machine {
	t.Helper()
	root, err := pkgtest.NewRoot(filepath.Join(t.TempDir(), "root"))
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t, root, pkgtest.NewDaemon(t, programs, root, t.TempDir())}
	m.daemon.Config = config
	root.Macros = programs.PluginMacros(m.daemon.Socket())
	m.rpm("--import", vendor.Armor)
	m.daemon.Start()
	return m
}

func (m *machine) rpm(args ...string) {
	m.Helper()
	for i, a := range args {
		if filepath.Ext(a) == ".rpm" {
			args[i] = filepath.Join(packages, a)
		}
	}
	if err := m.root.Run(args...); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) path(name string) string { return filepath.Join(m.root.Dir, name) }

func (m *machine) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *machine) write(name, content string, mode os.FileMode) {
	m.Helper()
	m.ok(os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.ok(os.WriteFile(m.path(name), []byte(content), mode))
	m.ok(os.Chmod(m.path(name), mode))
}

// report is what verify and fix print for programs.
type report struct {
	Findings     []api.Finding
	Verification api.Verification
	Events       []api.Event // of log
	Error        *api.Error
}

// ctl runs digestctl and wants an exit code.
func (m *machine) ctl(code int, args ...string) (r report) {
	m.Helper()
	cmd := exec.Command(filepath.Join(programs.Dir, "digestctl"), append([]string{"--bus", m.daemon.Bus.Address, "--json"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		m.Errorf("digestctl %v ended with %d, want %d\n%s", args, got, code, out)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		m.Fatalf("digestctl %v printed no JSON: %v\n%s", args, err, out)
	}
	return r
}

// found is a finding in a line.
func found(f api.Finding) string {
	line := f.Kind + " " + f.Path + " " + f.Package
	if f.Severity == api.SeverityNotice {
		line = "notice: " + line
	}
	if f.Fixed {
		line = "fixed: " + line
	}
	return line
}

func (m *machine) want(r report, want ...string) {
	m.Helper()
	got := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		got[i] = found(f)
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" && len(want)+len(got) > 0 {
		m.Errorf("findings (-want +got):\n%s", diff)
	}
}

// await waits until something is so.
func (m *machine) await(what string, so func() bool) {
	m.Helper()
	for deadline := time.Now().Add(pkgtest.Patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.Fatalf("waited in vain: %s", what)
		}
	}
}
