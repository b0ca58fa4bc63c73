// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const spec = "../../systemd/digestd.spec"

// parts are the packages that the spec makes for every machine; where there is SELinux, one
// more is made.
var parts = []string{"digestd", "rpm-plugin-digestd", "python3-dnf-plugin-digestd", "digestd-dnf5", "digestd-zypp", "digestd-tukit"}

// sources are what rpmbuild makes packages of: a version, and a later one with
// another configuration file.
type sources struct {
	dir      string
	programs string // what Go built, once for all releases
}

// prepare makes the sources from what is committed.
func prepare(t *testing.T) *sources {
	t.Helper()
	s := &sources{dir: t.TempDir()}
	s.programs = filepath.Join(s.dir, "programs")
	for _, dir := range []string{"1", "2"} {
		command(t, "../../systemd/build-rpm.sh", "sources", filepath.Join(s.dir, dir))
	}
	command(t, "sh", "-c", `
		set -e
		cd "$1/2"
		old=$(sed -n 's/^Version: *//p' digestd.spec)
		new=$old.later
		sed -i "s/^Version: .*/Version: $new/" digestd.spec
		tar -xzf digestd-$old.tar.gz
		mv digestd-$old digestd-$new
		rm digestd-$old.tar.gz
		echo '#later = true' >>digestd-$new/systemd/digestd.conf
		tar -czf digestd-$new.tar.gz digestd-$new`, "sh", s.dir)
	return s
}

// goStandIn is make's GO in the releases, which have none: it lays down what was
// built here.
const goStandIn = `#!/bin/sh
mkdir -p bin
for last; do name=${last##*/}; case $last in ./cmd/*) cp /sources/programs/$name bin/ || exit 1 ;; esac; done
`

// build makes the packages by the machine's own rpmbuild and compiler, but for
// what Go builds, and returns their paths, by name.
func (m *machine) build(s *sources, version string) map[string]string {
	m.Helper()
	in := m.path("/sources")
	if err := os.MkdirAll(in, 0o755); err != nil {
		m.Fatal(err)
	}
	command(m.T, "cp", "-r", s.programs, filepath.Join(s.dir, version), in)
	m.write("/sources/go", goStandIn)
	if err := os.Chmod(m.path("/sources/go"), 0o755); err != nil {
		m.Fatal(err)
	}
	// The releases have no SELinux policy to build against.
	m.must("GO=/sources/go", "rpmbuild", "-bb", "--nodeps", "--without", "selinux",
		"--define", "_topdir /sources/top", "--define", "_sourcedir /sources/"+version, "--define", "_rpmdir /packages/"+version,
		"--define", "_rpmfilename %%{NAME}.rpm", "--define", "_binary_payload w1.gzdio", "/sources/"+version+"/digestd.spec")
	files := map[string]string{}
	for _, p := range parts {
		files[p] = "/packages/" + version + "/" + p + ".rpm"
		if !m.exists(files[p]) {
			m.Fatalf("rpmbuild made no %s", p)
		}
	}
	return files
}

// TestMakeRPM: make rpm makes all packages of what is committed, and rpmlint
// finds nothing that is not explained.
func TestMakeRPM(t *testing.T) {
	out := t.TempDir()
	command(t, "../../systemd/build-rpm.sh", "rpm", out)
	made, err := filepath.Glob(filepath.Join(out, "*.rpm"))
	if err != nil || len(made) != len(parts)+1 {
		t.Fatalf("made %v (%v), want %v and digestd-selinux", made, err, parts)
	}
	args := append([]string{"-c", "../../systemd/rpmlint.toml", spec}, made...)
	if said, err := exec.Command("rpmlint", args...).CombinedOutput(); err != nil || !strings.Contains(string(said), "0 errors, 0 warnings") {
		t.Errorf("rpmlint: %v\n%s", err, said)
	}
	// rpm answers which packages contain a vulnerable module.
	provides, err := exec.Command("rpm", append([]string{"-qp", "--provides"}, made...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(provides), "bundled(golang(go.etcd.io/bbolt)) = ") || !strings.Contains(string(provides), "bundled(golang(github.com/miekg/pkcs11)) = ") {
		t.Errorf("rpm -q --provides: %v\n%s", err, provides)
	}
	labelled(t, made)
}

// TestPackages: what every rpm does with the packages, from the first
// installation to the removal.
func TestPackages(t *testing.T) {
	s := prepare(t)
	command(t, "sh", "-c", `cd ../.. && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$1/" ./cmd/digestd ./cmd/digestctl ./cmd/digestd-hook ./cmd/digestd-guard &&
		CGO_ENABLED=1 go build -trimpath -buildvcs=false -o "$1/" ./cmd/digestd-pkcs11`, "sh", s.programs)
	stray, vendor := strayPackages(t), t.TempDir()
	command(t, "../tutorial.sh", vendor)
	t.Run("on", func(t *testing.T) {
		everywhere(t, func(m *machine) { lifeOfPackages(m, s, stray, vendor) })
	})
}

// strayPackages makes packages that have nothing to do with digestd.
func strayPackages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"one", "two", "three"} {
		text := fmt.Sprintf("Name: %s\nVersion: 1\nRelease: 1\nSummary: s\nLicense: s\nBuildArch: noarch\n%%description\n.\n%%install\n"+
			"mkdir -p %%{buildroot}/usr/share/stray\necho %s >%%{buildroot}/usr/share/stray/%s\n%%files\n/usr/share/stray/%s\n", name, name, name, name)
		file := filepath.Join(dir, name+".spec")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		command(t, "rpmbuild", "-bb", "--nodeps", "--define", "_topdir "+dir, "--define", "_rpmdir "+dir, "--define", "_rpmfilename %%{NAME}.rpm", file)
	}
	return dir
}

func lifeOfPackages(m *machine, s *sources, stray, vendor string) {
	for _, name := range []string{"one", "two", "three"} {
		command(m.T, "cp", filepath.Join(stray, name+".rpm"), m.path("/"))
	}
	first, later := m.build(s, "1"), m.build(s, "2")
	files := func(of map[string]string) (all []string) {
		for _, p := range parts {
			all = append(all, of[p])
		}
		return all
	}
	m.must("rpm", "--initdb")
	// Debian's own packages are not in rpm's database.
	m.silent(append([]string{"rpm", "-U", "--nodeps"}, files(first)...)...)

	verify := func(when, want string) {
		m.Helper()
		said, _ := m.run(append([]string{"rpm", "-V", "--nodeps"}, parts...)...)
		if said != want {
			m.Errorf("%s, rpm -V said:\n%s\nwant:\n%s", when, said, want)
		}
	}
	verify("installed", "")
	if enabled, _ := filepath.Glob(m.path("/etc/systemd/system/*/digestd*")); m.exists("/usr/bin/systemctl") && len(enabled) != 2 {
		m.Errorf("as this system presets all units to be enabled, these are: %v", enabled)
	}
	if said := m.must("digestd", "-version"); !strings.HasPrefix(said, "digestd ") {
		m.Errorf("digestd -version: %s", said)
	}
	if !strings.Contains(m.read("/etc/group"), "\ndigestd:") {
		m.Error("there is no group digestd")
	}
	dnf4 := m.must("python3", "-c", "from dnf.const import PLUGINPATH as p; print(p)")
	if !m.exists(dnf4 + "/digestd.py") {
		m.Errorf("dnf's plugin is not in %s", dnf4)
	}

	m.followTutorial(vendor)

	// rpm loads the plugin by the package's macro, and goes on without a daemon.
	m.write("/etc/digestd/digestd.conf", "bus = \"none\"\nunsigned = \"allow\"\n")
	if said := m.must("rpm", "-U", "/one.rpm"); !strings.Contains(said, "digestd: no answer at /run/digestd/hook.sock") {
		m.Errorf("without digestd, rpm said %q", said)
	}
	stop := m.daemon()
	m.silent("rpm", "-U", "/two.rpm")
	m.hasLists("tlv-one-0:1-1.noarch", "tlv-two-0:1-1.noarch")
	if said := m.must("getfattr", "--absolute-names", "--only-values", "-n", "security.digest_list", "/usr/share/stray/two"); said != "tlv-two-0:1-1.noarch" {
		m.Errorf("the file has label %q", said)
	}
	// A doctor finds everything as this rpm and this dnf want it.
	said := m.must("digestctl", "doctor", "config", "socket", "plugin", "dnf", "database", "lists", "state")
	if !strings.HasPrefix(said, "digestd has everything it needs\n") || !strings.Contains(said, "/digestd.so; when digestd is unreachable it would proceed") ||
		!strings.Contains(said, dnf4+"/digestd.py") || strings.Contains(said, "skipped") {
		m.Errorf("digestctl doctor said:\n%s", said)
	}

	// A later version keeps what the administrator wrote.
	m.must(append([]string{"rpm", "-U", "--nodeps"}, files(later)...)...)
	if got := m.read("/etc/digestd/digestd.conf"); !strings.HasPrefix(got, "bus = ") {
		m.Errorf("after the upgrade the configuration is\n%s", got)
	}
	if got := m.read("/etc/digestd/digestd.conf.rpmnew"); !strings.HasSuffix(got, "#later = true\n") {
		m.Errorf("the new configuration is\n%s", got)
	}
	verify("upgraded", "S.5....T.  c /etc/digestd/digestd.conf")
	m.silent("rpm", "-e", "two")

	// Removed, it leaves nothing that rpm would miss, even if rpm was to refuse
	// without it.
	m.write("/etc/rpm/macros", m.read("/etc/rpm/macros")+"%_digestd_on_unreachable refuse\n")
	if said := m.must(append([]string{"rpm", "-e"}, parts...)...); strings.Contains(said, "digestd: ") {
		m.Errorf("the removal said:\n%s", said)
	}
	stop()
	m.silent("rpm", "-U", "/three.rpm")
	m.silent("rpm", "-e", "three")
	for _, path := range []string{
		"/usr/sbin/digestd", "/usr/sbin/digestd-guard", "/usr/bin/digestctl", "/usr/libexec/digestd", "/usr/lib/systemd/system/digestd.service",
		"/usr/lib/systemd/system/digestd.socket", dnf4 + "/digestd.py", "/etc/dnf/libdnf5-plugins/actions.d/digestd.actions",
		"/usr/lib/zypp/plugins/commit/digestd", "/usr/lib/tukit/plugins/digestd",
	} {
		if m.exists(path) {
			m.Errorf("%s is still there", path)
		}
	}
	if left, _ := filepath.Glob(m.path("/etc/systemd/system/*/digestd*")); len(left) > 0 {
		m.Errorf("still enabled: %v", left)
	}
	if !m.exists("/etc/digestd/digestd.conf.rpmsave") {
		m.Error("the administrator's configuration is gone")
	}
}

// hasLists waits for the lists of packages other than digestd's own.
func (m *machine) hasLists(want ...string) {
	m.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		entries, err := os.ReadDir(m.path("/etc/digest_lists"))
		if err != nil {
			m.Fatal(err)
		}
		got = nil
		for _, e := range entries {
			if !strings.Contains(e.Name(), "digestd") {
				got = append(got, e.Name())
			}
		}
		if slices.Equal(got, want) {
			return
		}
	}
	m.Fatalf("lists are %v, want %v", got, want)
}

func command(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
