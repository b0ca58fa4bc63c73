// SPDX-License-Identifier: Apache-2.0

// Package verify_test compares disks with lists as an administrator does: real
// rpm installs packages that rpmbuild made, somebody spoils what it installed,
// and digestctl tells, and puts right what it can.
package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

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
	pkgtest.Main(m, func(s *pkgtest.Setup) (err error) {
		if programs, err = pkgtest.BuildPrograms(s.Dir); err != nil {
			return err
		}
		if vendor, err = pkgtest.NewGPG(s.Dir, "Vendor", "rsa3072"); err != nil {
			return err
		}
		s.Cleanup(func() { vendor.Close() })
		packages, err = build(s.Dir)
		return err
	})
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
type machine struct{ *pkgtest.Machine }

func newMachine(t *testing.T, config ...string) *machine {
	t.Helper()
	m := &machine{pkgtest.NewMachine(t, programs, t.TempDir(), config...)}
	m.Made = packages
	m.RPM("--import", vendor.Armor)
	m.Start()
	return m
}

func (m *machine) write(name, content string, mode os.FileMode) {
	m.Helper()
	m.OK(os.Chmod(m.Write(name, content), mode))
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
	if got := m.JSON(&r, args...); got != code {
		m.Errorf("digestctl %v ended with %d, want %d: %+v", args, got, code, r)
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
