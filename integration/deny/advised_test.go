// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
)

// fed is a machine that a repository's metadata comes to.
type fed struct {
	*machine
	repo string
}

// publish makes a repository of packages, with one advisory about each of the builds that
// mend something.
func (m *fed) publish(id string, packages []string, mended ...string) {
	m.Helper()
	m.publishAll(id, packages, collection("", mended...), "")
}

// collection is what an advisory says of builds, of a module stream or of none.
func collection(stream string, mended ...string) string {
	var b strings.Builder
	b.WriteString(`<collection short="os"><name>os</name>`)
	if name, s, is := strings.Cut(stream, ":"); is {
		fmt.Fprintf(&b, `<module name="%s" stream="%s" version="1" context="c" arch="noarch"/>`, name, s)
	}
	for _, n := range mended {
		f := strings.Split(n, "-")
		fmt.Fprintf(&b, `<package name="%s" epoch="0" version="%s" release="%s" arch="noarch"/>`, f[0], f[1], f[2])
	}
	return b.String() + "</collection>"
}

// publishAll is publish with collections of several streams, and the list of these.
func (m *fed) publishAll(id string, packages []string, collections, modules string) {
	m.Helper()
	m.OK(os.RemoveAll(m.repo))
	m.OK(os.MkdirAll(m.repo, 0o755))
	for _, p := range packages {
		m.OK(os.Link(p, filepath.Join(m.repo, filepath.Base(p))))
	}
	m.run("createrepo_c", "-q", m.repo)
	info := filepath.Join(m.TempDir(), "updateinfo.xml")
	m.OK(os.WriteFile(info, []byte(`<updates><update from="security@vendor.example" status="stable" type="security" version="1"><id>`+id+`</id><title>flaw</title>
<severity>Critical</severity><issued date="2026-01-01 00:00:00"/><references><reference href="https://vendor.example/" id="CVE-2026-1234" type="cve" title="CVE-2026-1234"/></references>
<pkglist>`+collections+`</pkglist></update></updates>`), 0o644))
	m.run("modifyrepo_c", "--mdtype=updateinfo", info, filepath.Join(m.repo, "repodata"))
	if modules != "" {
		file := filepath.Join(m.TempDir(), "modules.yaml")
		m.OK(os.WriteFile(file, []byte(modules), 0o644))
		m.run("modifyrepo_c", "--mdtype=modules", file, filepath.Join(m.repo, "repodata"))
	}
}

func (m *fed) run(name string, args ...string) {
	m.Helper()
	m.runIn(pkgtest.Release{Root: "/"}, name, args...)
}

func (m *fed) runIn(r pkgtest.Release, name string, args ...string) {
	m.Helper()
	if out, err := r.Command(name, args...).CombinedOutput(); err != nil {
		m.Fatalf("%s (integration/setup.sh test installs it): %v\n%s", name, err, out)
	}
}

// refreshers bring the metadata of the repository to the machine, each by a real package
// manager.
var refreshers = map[string]func(m *fed){
	"dnf4": func(m *fed) {
		root := m.Root.Dir
		m.run("dnf", "-q", "-y", "--installroot="+root, "--releasever=1", "--setopt=reposdir="+filepath.Join(root, "etc/yum.repos.d"),
			"--setopt=cachedir="+filepath.Join(root, "var/cache/dnf"), "--noplugins", "makecache", "--refresh")
	},
	"dnf5": func(m *fed) {
		// dnf5 is one of another release: its cache comes from there as it writes it.
		_, _, forky := pkgtest.Releases()
		inside, outside := forky.Scratch(m.TB)
		m.OK(os.CopyFS(filepath.Join(outside, "repo"), os.DirFS(m.repo)))
		m.OK(os.MkdirAll(filepath.Join(outside, "repos.d"), 0o755))
		m.OK(os.WriteFile(filepath.Join(outside, "repos.d/updates.repo"), []byte("[updates]\nname=updates\nbaseurl=file://"+inside+"/repo\nenabled=1\ngpgcheck=0\n"), 0o644))
		m.runIn(forky, "dnf5", "-q", "-y", "--installroot="+inside+"/root", "--use-host-config", "--releasever=1", "--setopt=reposdir="+inside+"/repos.d",
			"--setopt=cachedir="+inside+"/cache", "--setopt=system_cachedir="+inside+"/cache", "makecache", "--refresh")
		to := m.Path("var/cache/libdnf5")
		m.OK(os.RemoveAll(to))
		m.OK(os.MkdirAll(filepath.Dir(to), 0o755))
		m.OK(os.CopyFS(to, os.DirFS(filepath.Join(outside, "cache"))))
	},
	"zypper": func(m *fed) {
		m.run("zypper", "--quiet", "--non-interactive", "--no-gpg-checks", "--root", m.Root.Dir, "refresh", "--force")
	},
}

// newFed is a machine of that configuration, and that has the repository updates,
// whose packages vendor signs.
func newFed(t *testing.T, config ...string) *fed {
	t.Helper()
	m := &fed{newMachine(t, config...), filepath.Join(t.TempDir(), "repo")}
	m.OK(os.MkdirAll(m.Path("etc/pki"), 0o755))
	m.OK(os.WriteFile(m.Path("etc/pki/vendor.asc"), vendor.Armor, 0o644))
	configuration := "[updates]\nname=updates\nenabled=1\nautorefresh=0\ntype=rpm-md\nbaseurl=file://" + m.repo + "\ngpgcheck=0\ngpgkey=file:///etc/pki/vendor.asc\n"
	for _, dir := range []string{"etc/yum.repos.d", "etc/zypp/repos.d"} {
		m.OK(os.MkdirAll(m.Path(dir), 0o755))
		m.OK(os.WriteFile(m.Path(dir+"/updates.repo"), []byte(configuration), 0o644))
	}
	return m
}

const keepOut = `advisories = "keep-out"`

// A machine with a vulnerable version comes, by nothing but a refresh of the metadata that
// its package manager has, to where that version cannot come back.
func TestAdvisoriesAct(t *testing.T) {
	stranger, err := pkgtest.NewKey("stranger", 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, manager := range []string{"dnf4", "dnf5", "zypper"} {
		t.Run(manager, func(t *testing.T) {
			m := newFed(t, keepOut)
			m.Trust(stranger)
			old, fixed := m.build("hello-1-1.noarch", "/usr/bin/hello=1"), m.build("hello-1-2.noarch", "/usr/bin/hello=2")
			absent, absentFixed := m.build("absent-1-1.noarch", "/usr/bin/absent=1"), m.build("absent-1-2.noarch", "/usr/bin/absent=2")
			p, _, err := pkgtest.ParsePackage("foreign-1-1.noarch", "/usr/bin/foreign=1")
			m.OK(err)
			p.Key = stranger
			foreign := m.Build(p)
			m.RPM("-i", old)
			m.HasLists(hello)

			m.publish("VSA-2026:0001", []string{fixed, absentFixed}, "hello-1-2", "absent-1-2", "foreign-1-2", "hello-9-9")
			refreshers[manager](m)
			m.AwaitProblem("below-advisories", "hello-1-1")
			m.HasLists(hello) // what is installed stays

			var list struct{ Packages []api.Advised }
			m.JSON(&list, "advisories", "list")
			if len(list.Packages) != 1 || list.Packages[0].Package != "hello-1-1.noarch" || list.Packages[0].Mended != "0:1-2" || list.Packages[0].Severity != "Critical" {
				t.Errorf("%+v", list.Packages)
			}
			m.Says(m.Must("advisories", "show", "CVE-2026-1234"), "VSA-2026:0001", "lacks the fix")
			m.Says(m.Must("advisories", "why", "hello"), "VSA-2026:0001", "0:1-2", "cache", "no older version that its keys signed")
			m.Says(m.Must("advisories", "status"), "1 Critical", "updates")
			// Never installed here, and kept out; another one, whose key signs nothing of that
			// repository, is not.
			m.RPMFails([]string{"VSA-2026:0001 (Critical) fixes it"}, "-i", absent)
			m.RPM("-i", foreign)
			m.Says(m.Exits(3, "check", absent), "VSA-2026:0001")
			m.RPM("-U", fixed)
			m.Solved("below-advisories")
			m.RPMFails([]string{"VSA-2026:0001 (Critical) fixes it"}, "-U", "--oldpackage", old)
			m.RPM("-e", "hello")
			m.RPMFails([]string{"hello-1-1.noarch"}, "-i", old)
			m.RPM("-i", absentFixed)

			// It holds after a start, and until the owner has it forgotten.
			m.Stop()
			m.Start()
			m.RPMFails([]string{"VSA-2026:0001"}, "-U", "--oldpackage", absent)
			m.Exits(0, "advisories", "forget", "updates", "--reason", "withdrawn by its vendor")
			m.Exits(0, "rollback", "grant", "hello-1-1.noarch", "--reason", "test")
			m.RPM("-i", old)

			// The next advisory applies again.
			m.publish("VSA-2026:0002", []string{fixed}, "hello-1-2")
			refreshers[manager](m)
			m.AwaitProblem("below-advisories", "hello-1-1")
			m.Says(m.Must("log", "--kind", "advised"), "updates")
			m.Stop()
		})
	}
}

// The lists of packages that stay vulnerable go when their grace is over, announced before, a
// few a day; not those that the owner protects, nor those of what the machine needs. They
// come back with the update, and when the advisories are forgotten.
func TestAdvisoriesWithdraw(t *testing.T) {
	m := newFed(t, `advisories = "withdraw"`, `advisories-grace = "1d"`, `advisories-protect = ["kept*"]`)
	var installed, mended []string
	for name, file := range map[string]string{"first": "/opt/first", "second": "/opt/second", "kept": "/opt/kept", "needs": "/usr/bin/rpm"} {
		installed = append(installed, m.build(name+"-1-1.noarch", file+"="+name))
		mended = append(mended, m.build(name+"-1-2.noarch", file+"="+name+"2"))
	}
	m.RPM(append([]string{"-i"}, installed...)...)
	lists := func(names ...string) {
		t.Helper()
		var want []string
		for _, name := range names {
			want = append(want, "tlv-"+name+"-0:1-1.noarch")
		}
		m.WantLists(want...)
	}
	later := func(ahead string) {
		t.Helper()
		m.Stop()
		m.Start(failpoint.AheadVariable + "=" + ahead)
	}
	m.publish("VSA-2026:0009", mended, "first-1-2", "second-1-2", "kept-1-2", "needs-1-2")
	refreshers["dnf4"](m)
	m.AwaitProblem("below-advisories", "4 installed packages")
	m.Until("two are announced", func() bool {
		return strings.Count(m.Must("log", "--kind", "advisory-due", "--json"), `"advisory-due"`) == 2
	})
	m.Says(m.Must("advisories", "why", "kept"), "never withdrawn for an advisory: advisories-protect has kept*")
	m.Says(m.Must("advisories", "why", "needs"), "never withdrawn for an advisory: /usr/bin/rpm: rpm is needed")

	later("23h")
	m.AwaitProblem("below-advisories", "4 installed packages")
	lists("first", "kept", "needs", "second")
	later("25h")
	m.AwaitProblem("advisories-due", "1 list due to be withdrawn", "at most 1 a day")
	lists("kept", "needs", "second")
	if w := m.Why("/opt/first"); w.Vouched {
		t.Errorf("it is vouched for: %+v", w)
	}
	m.Says(m.Must("log", "--kind", "withdrawn"), "first-1-1.noarch", "VSA-2026:0009")
	later("26h")
	m.AwaitProblem("advisories-due", "1 list due")
	m.Exits(0, "sync")
	lists("kept", "needs", "second")
	later("50h")
	lists("kept", "needs")

	m.RPM("-U", "first-1-2.noarch.rpm")
	m.WantLists("tlv-first-0:1-2.noarch", "tlv-kept-0:1-1.noarch", "tlv-needs-0:1-1.noarch")
	m.RPMFails([]string{"VSA-2026:0009"}, "-U", "--oldpackage", "first-1-1.noarch.rpm")
	m.Exits(0, "advisories", "forget", "updates", "--reason", "withdrawn by its vendor")
	m.WantLists("tlv-first-0:1-2.noarch", "tlv-kept-0:1-1.noarch", "tlv-needs-0:1-1.noarch", "tlv-second-0:1-1.noarch")
	m.Solved("below-advisories")
	m.Stop()
}

// An advisory about a module stream is about packages of that stream alone.
func TestAdvisoriesOfModules(t *testing.T) {
	m := newFed(t, keepOut)
	modular := func(version, stream, name string) string {
		p, _, err := pkgtest.ParsePackage(name+"-"+version+".noarch", "/opt/"+name+"="+version)
		m.OK(err)
		p.Key, p.Module = vendor, stream+":1:c"
		return m.Build(p)
	}
	here := modular("1-1.module", "node:1", "node")
	m.RPM("-i", here)
	fixed, five, fiveFixed := modular("1-2.module", "node:1", "node"), modular("5-1.module", "node:5", "npm"), modular("5-2.module", "node:5", "npm")
	one := modular("1-1.module", "node:1", "npm")
	const document = "---\ndocument: modulemd\nversion: 2\ndata:\n  name: node\n  stream: \"%d\"\n  version: 1\n  context: c\n  arch: noarch\n" +
		"  summary: node\n  description: node\n  license:\n    module:\n    - MIT\n  artifacts:\n    rpms:\n    - %s\n...\n"
	m.publishAll("VSA-2026:0005", []string{fixed, fiveFixed}, collection("node:1", "node-1-2.module")+collection("node:5", "npm-5-2.module"),
		fmt.Sprintf(document, 1, "node-0:1-2.module.noarch")+fmt.Sprintf(document, 5, "npm-0:5-2.module.noarch"))
	refreshers["dnf4"](m)
	m.AwaitProblem("below-advisories", "node-1-1.module")
	m.RPMFails([]string{"VSA-2026:0005"}, "-i", five)
	m.RPM("-i", one) // of a stream of which nothing is said of it
	m.Says(m.Must("advisories", "why", "npm"), "node:5")
	m.RPM("-U", fixed)
	m.Solved("below-advisories")
	m.Stop()
}
