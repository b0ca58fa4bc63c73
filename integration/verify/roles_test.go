// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"os"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// buildSigned makes the packages of a spec, signed by the vendor.
func (m *machine) buildSigned(spec string) []string {
	m.Helper()
	files, err := pkgtest.BuildSpec(m.TempDir(), spec)
	m.OK(err)
	m.OK(vendor.Sign(files...))
	return files
}

const remadeSpec = `
Name: made
Version: 1
Release: 1
Summary: made
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
%description
made
%install
mkdir -p %{buildroot}/usr/lib/made
for f in archive cache size-only; do echo template >%{buildroot}/usr/lib/made/$f; done
%files
%verify(not md5 filedigest size mtime mode) /usr/lib/made/archive
%verify(not filedigest) /usr/lib/made/cache
%verify(not size mtime) /usr/lib/made/size-only
`

// A file that is made again on the machine, as its package says, may differ; one of which only
// the size may differ may not.
func TestPackageLetsChange(t *testing.T) {
	m := newMachine(t)
	m.RPM(append([]string{"-i"}, m.buildSigned(remadeSpec)...)...)
	for _, f := range []string{"archive", "cache", "size-only"} {
		m.write("/usr/lib/made/"+f, "made by a scriptlet", 0o644)
	}
	const made = "made-1-1.noarch"
	m.want(m.ctl(3, "verify", "--all"), "notice: changed /usr/lib/made/archive "+made, "notice: changed /usr/lib/made/cache "+made,
		"changed /usr/lib/made/size-only "+made)
	m.write("/usr/lib/made/size-only", "template\n", 0o644)
	m.want(m.ctl(0, "verify", "--all"), "notice: changed /usr/lib/made/archive "+made, "notice: changed /usr/lib/made/cache "+made)
	m.OK(os.Remove(m.Path("/usr/lib/made/cache")))
	m.want(m.ctl(3, "verify", "--all"), "notice: changed /usr/lib/made/archive "+made, "missing /usr/lib/made/cache "+made)
}

const movedSpec = `
Name: moved
Version: 1
Release: 1
Summary: moved
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
Prefix: /opt/moved
%description
moved
%install
mkdir -p %{buildroot}/opt/moved/bin %{buildroot}/opt/moved/etc %{buildroot}/usr/lib/moved
for f in opt/moved/bin/tool opt/moved/etc/tool.conf usr/lib/moved/data; do echo $f >%{buildroot}/$f; done
%files
%attr(755,root,root) /opt/moved/bin/tool
%config /opt/moved/etc/tool.conf
/usr/lib/moved/data
`

// The files of a relocated package are compared where rpm put them, with the roles
// that they have, and their labels follow the list.
func TestRelocatedPackage(t *testing.T) {
	m := newMachine(t)
	m.RPM("-i", "--prefix", "/srv/elsewhere", m.buildSigned(movedSpec)[0])
	const moved, tool = "moved-1-1.noarch", "/srv/elsewhere/bin/tool"
	m.want(m.ctl(0, "verify", "--all"))
	m.ctl(0, "sync")
	m.want(m.ctl(0, "verify", "--package", "moved"))
	if got := m.Label(tool); got != "tlv-moved-0:1-1.noarch" {
		t.Errorf("label is %q", got)
	}
	m.write("/srv/elsewhere/etc/tool.conf", "configured", 0o644)
	m.write(tool, "spoiled", 0o755)
	m.want(m.ctl(3, "verify", m.Path("/srv")), "changed "+tool+" "+moved, "notice: changed /srv/elsewhere/etc/tool.conf "+moved)
	m.OK(os.Remove(m.Path(tool)))
	m.want(m.ctl(3, "verify", "--all"), "missing "+tool+" "+moved, "notice: changed /srv/elsewhere/etc/tool.conf "+moved)

	// The file in its place is bound by the name of the list.
	m.write(tool, "opt/moved/bin/tool\n", 0o755)
	m.want(m.ctl(0, "fix", "--package", "moved", "--unlabelled"), "fixed: label "+tool+" "+moved, "notice: changed /srv/elsewhere/etc/tool.conf "+moved)
	if got := m.Label(tool); got != "tlv-moved-0:1-1.noarch" {
		t.Errorf("label is %q", got)
	}
}

const linkedSpec = `
Name: linked
Version: 1
Release: 1
Summary: linked
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
%description
linked
%install
mkdir -p %{buildroot}/linked/bin
echo linked >%{buildroot}/linked/bin/linked
%files
%attr(755,root,root) /linked/bin/linked
`

// An absolute link in an image leads to a place inside of the image.
func TestAbsoluteLinkInRoot(t *testing.T) {
	m := newMachine(t)
	m.OK(os.MkdirAll(m.Path("/usr/real/bin"), 0o755))
	m.OK(os.Symlink("/usr/real", m.Path("/linked")))
	m.RPM("-i", m.buildSigned(linkedSpec)[0])
	const linked, real = "linked-1-1.noarch", "/usr/real/bin/linked"
	if got := m.Label(real); got != "tlv-linked-0:1-1.noarch" {
		t.Errorf("label is %q", got)
	}
	m.want(m.ctl(0, "verify", "--all"))
	m.OK(unix.Removexattr(m.Path(real), pkgtest.LabelName))
	m.want(m.ctl(0, "fix", "--package", "linked", "--unlabelled"), "fixed: label /linked/bin/linked "+linked)
	m.write(real, "spoiled", 0o755)
	m.want(m.ctl(3, "verify", m.Path("/linked")), "changed /linked/bin/linked "+linked)
	m.want(m.ctl(3, "verify", m.Path("/usr/real")), "changed /linked/bin/linked "+linked)
}

func sharedSpec(version string) string {
	return `
Name: net
Version: ` + version + `
Release: 1
Summary: net
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
%description
net
%install
cd %{buildroot}
mkdir -p usr/share/net usr/bin usr/share/left
for f in usr/share/net/data usr/share/net/run usr/bin/net usr/share/left/data usr/share/left/run; do echo ` + version + ` >$f; done
chmod 755 usr/share/net/run usr/bin/net usr/share/left/run
%files
/usr/share/net/*
/usr/bin/net
/usr/share/left/*
`
}

// A file that rpm did not write is not an error: another machine's files on a shared file
// system, and what was left out. Only an executable that somebody put there is.
func TestNotInstalledByRPM(t *testing.T) {
	m := newMachine(t)
	m.RPM("-i", m.buildSigned(sharedSpec("1"))[0])
	m.RPM("-U", "--define", "_netsharedpath /usr/share/net", "--excludepath", "/usr/share/left", m.buildSigned(sharedSpec("2"))[0])
	const net = "net-2-1.noarch"
	shared := []string{"notice: changed /usr/share/net/data " + net, "notice: changed /usr/share/net/run " + net}
	r := m.ctl(0, "verify", "--all")
	m.want(r, shared...)
	if r.Verification.Absent != 2 {
		t.Errorf("%d files are absent", r.Verification.Absent)
	}
	m.write("/usr/share/left/data", "of somebody", 0o644)
	m.write("/usr/share/left/run", "of somebody", 0o755)
	r = m.ctl(3, "verify", "--all")
	m.want(r, append(shared, "notice: changed /usr/share/left/data "+net, "changed /usr/share/left/run "+net)...)
	for _, f := range r.Findings {
		if (f.Severity == api.SeverityError) != (f.Path == "/usr/share/left/run") {
			t.Errorf("%s of %s", f.Severity, f.Path)
		}
	}
}
