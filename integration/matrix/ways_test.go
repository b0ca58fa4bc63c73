// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// deniedTool is why an upgrade of tool is refused.
const deniedTool = "digestd: tool-2-1.noarch is denied by root because regression"

// updater is what updates a machine without anybody asking for it.
type updater struct {
	manager
	update func(c *cell) []string
}

var updaters = []updater{
	{dnf4, func(c *cell) []string {
		dir := func(name string) string { return filepath.Join(c.dir, name) }
		config := "[commands]\napply_updates = yes\nrandom_sleep = 0\nnetwork_online_timeout = 0\n[emitters]\nemit_via = stdio\n" +
			"[base]\ninstallroot = " + dir("root") + "\nreposdir = " + dir("repos.d") + "\ncachedir = " + dir("automatic") + "\nlogdir = " + dir("log") +
			"\npluginpath = " + dir("dnf4") + "\npluginconfpath = " + dir("dnf4") + "\n"
		repo := "[test]\nname=test\nbaseurl=" + c.server.URL + "\nenabled=1\ngpgcheck=0\n"
		c.OK(os.MkdirAll(c.outside("repos.d"), 0o755))
		c.OK(os.WriteFile(c.outside("repos.d/test.repo"), []byte(repo), 0o644))
		c.OK(os.WriteFile(c.outside("automatic.conf"), []byte(config), 0o644))
		// The program of /usr/bin/dnf-automatic, which Debian does not ship; nor has it a
		// package that says which release it is.
		const program = "import sys, dnf.rpm; dnf.rpm.detect_releasever = lambda root: '1'; from dnf.automatic.main import main; sys.exit(main(sys.argv[1:]))"
		return []string{"/usr/bin/python3", "-c", program, dir("automatic.conf"), "--installupdates"}
	}},
	{dnf5, func(c *cell) []string {
		return dnf(c, "dnf5", []string{"automatic", "--installupdates"}, "--setopt=pluginconfpath="+filepath.Join(c.dir, "dnf5"))
	}},
}

// newUpdated is a cell on which tool-1-1 is installed and tool-2-1 is denied.
func newUpdated(t *testing.T, r *release, m manager) *cell {
	t.Helper()
	c := newCell(t, r, m)
	c.initialise()
	c.Start()
	c.must(c.manager.args(c, "install", []string{"tool-1-1"})...)
	c.Must("deny", "tool-2-1.noarch", "--reason", "regression")
	c.fetched.Store(0)
	return c
}

// says wants words in what a program said, that often.
func (c *cell) says(said, words string, times int) {
	c.Helper()
	if n := strings.Count(strings.Join(strings.Fields(said), " "), words); n != times {
		c.Errorf("%q is said %d times, want %d:\n%s", words, n, times, said)
	}
}

// TestAutomaticUpdates: an update that nobody watches ends with the reason where its reader
// looks, and without a download; one that is permitted has its list.
func TestAutomaticUpdates(t *testing.T) {
	for _, r := range releases {
		for _, u := range updaters {
			if r.Root == "/" || !slices.ContainsFunc(r.managers, func(m manager) bool { return m.name == u.name }) {
				continue // those of this machine run under systemd, see TestUnderSystemd
			}
			t.Run(r.Name+"/"+u.name, func(t *testing.T) {
				t.Parallel()
				c := newUpdated(t, r, u.manager)
				code, said := c.run(u.update(c)...)
				c.Logf("code %d\n%s", code, said)
				if code == 0 {
					c.Error("it succeeded")
				}
				c.says(said, deniedTool, 1)
				if n := c.fetched.Load(); n != 0 {
					c.Errorf("%d packages downloaded", n)
				}
				c.wantExactly(step{has: []string{"tool-1-1"}})
				c.Must("deny", "lift", "tool-2-1.noarch", "--reason", "mended")
				said = c.must(u.update(c)...)
				c.says(said, "digestd:", 0)
				c.wantExactly(step{has: []string{"tool-2-1"}})
			})
		}
	}
}

// TestUnderSystemd: what a script or an updater of a unit is refused is in the journal, with
// the reason, and the unit has failed.
func TestUnderSystemd(t *testing.T) {
	t.Parallel()
	host := releases[0]
	c := newUpdated(t, host, rpm)
	s := startSystemd(t)
	env := []string{"HOME=" + filepath.Join(c.dir, "home"), "LC_ALL=C"}
	script := filepath.Join(c.dir, "update.sh")
	c.OK(os.WriteFile(script, []byte("#!/bin/sh\nset -e\n"+strings.Join(c.manager.args(c, "upgrade", []string{"tool-2-1"}), " ")+"\necho updated\n"), 0o755))
	run := func(unit, code string, args ...string) string {
		t.Helper()
		got, journal := s.run(unit, env, args...)
		if got != code {
			t.Errorf("%s has code %s, want %s:\n%s", unit, got, code, journal)
		}
		return journal
	}

	journal := run("script", "1", script)
	c.says(journal, deniedTool, 1)
	c.says(journal, "updated", 0)
	c.says(run("updater", "1", updaters[0].update(c)...), deniedTool, 1)
	if n := c.fetched.Load(); n != 0 {
		c.Errorf("%d packages downloaded", n)
	}
	c.wantExactly(step{has: []string{"tool-1-1"}})

	c.Must("deny", "lift", "tool-2-1.noarch", "--reason", "mended")
	journal = run("script-again", "0", script)
	c.says(journal, "updated", 1)
	c.says(journal, "digestd:", 0)
	c.wantExactly(step{has: []string{"tool-2-1"}})
	c.Must("rollback", "grant", "tool-1-1.noarch", "--reason", "test")
	c.must(c.manager.args(c, "downgrade", []string{"tool-1-1"})...)
	c.says(run("updater-again", "0", updaters[0].update(c)...), "digestd:", 0)
	c.wantExactly(step{has: []string{"tool-2-1"}})
}

// TestOfflineTransaction: an update that dnf5 stores is asked about when it is stored, and
// again, before it begins, when the machine has booted for it: what was denied in between
// does not come, and the machine boots on.
func TestOfflineTransaction(t *testing.T) {
	t.Parallel()
	forky := *releases[len(releases)-1]
	forky.Release = forky.Copy(t) // dnf5 makes /system-update
	c := newUpdated(t, &forky, dnf5)
	offline := func(args ...string) (code int, said string) {
		t.Helper()
		args = dnf(c, "dnf5", args, "--setopt=pluginconfpath="+filepath.Join(c.dir, "dnf5"))
		code, said = c.run(append([]string{"/usr/bin/env", "DNF_SYSTEM_UPGRADE_NO_REBOOT=1"}, args...)...)
		t.Logf("%s: code %d\n%s", strings.Join(args, " "), code, said)
		return code, said
	}
	wants := func(fails bool, reason int, args ...string) {
		t.Helper()
		code, said := offline(args...)
		if (code != 0) != fails {
			t.Errorf("%q: code %d", args, code)
		}
		c.says(said, deniedTool, reason)
	}
	trigger := filepath.Join(forky.Root, "system-update")
	wants(true, 1, "upgrade", "--offline")
	if n := c.fetched.Load(); n != 0 {
		t.Errorf("%d packages downloaded", n)
	}
	wants(true, 0, "offline", "reboot")

	c.Must("deny", "lift", "tool-2-1.noarch", "--reason", "mended")
	wants(false, 0, "upgrade", "--offline")
	wants(false, 0, "offline", "reboot")
	if _, err := os.Lstat(trigger); err != nil {
		t.Fatalf("the machine would not boot to update: %v", err)
	}
	c.Must("deny", "tool-2-1.noarch", "--reason", "regression")
	wants(true, 1, "offline", "_execute")
	if _, err := os.Lstat(trigger); err == nil {
		t.Error("the machine would try the same again and again")
	}
	c.wantExactly(step{has: []string{"tool-1-1"}})

	c.Must("deny", "lift", "tool-2-1.noarch", "--reason", "mended")
	wants(false, 0, "upgrade", "--offline")
	wants(false, 0, "offline", "reboot")
	wants(false, 0, "offline", "_execute")
	c.wantExactly(step{has: []string{"tool-2-1"}})
}

// TestChroot: rpm that runs in a chroot, as mock and the %post of a kickstart have it do, does
// its work, and the digestd of another root keeps out of it. A package that came while no
// digestd answered gets its list when that root boots.
func TestChroot(t *testing.T) {
	for _, r := range releases[1:] {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			copied := r.Copy(t)
			made := filepath.Join(copied.Root, "packages")
			root := &pkgtest.Root{Dir: copied.Root}
			m := &pkgtest.Machine{TB: t, Daemon: pkgtest.NewDaemon(t, programs, root, filepath.Join(copied.Root, "etc/digestd")), Made: made}
			m.OK(os.CopyFS(made, os.DirFS(packages)))
			nested := m.Build(pkgtest.Package{Name: "nested", Version: "1", Files: map[string]string{"/usr/bin/nested": "nested"}, Key: vendor,
				Post: "set -e\nrpm -q nested >/asked\nrpm --root /image -U /packages/other-1-1.noarch.rpm\n"})
			m.OK(os.WriteFile(filepath.Join(made, "vendor.asc"), vendor.Armor, 0o644))
			m.OK(os.Mkdir(filepath.Join(copied.Root, "image"), 0o755))
			plugin := func(socket string) {
				m.Helper()
				macros := "%_dbpath " + pkgtest.DBPath + "\n%_keyring rpmdb\n%__plugindir " + r.dir + "/rpm\n%__transaction_digestd " + r.dir + "/rpm/digestd.so " + socket + "\n"
				m.OK(os.WriteFile(filepath.Join(copied.Root, "packages/.rpmmacros"), []byte(macros), 0o644))
			}
			rpm := func(args ...string) string {
				m.Helper()
				cmd := copied.Command("rpm", args...)
				cmd.Env = append(cmd.Env, "HOME=/packages")
				out, err := cmd.CombinedOutput()
				if err != nil {
					m.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			install := func(pkg string, says int) {
				m.Helper()
				said := rpm("-U", filepath.Join("/packages", filepath.Base(pkg)))
				if n := strings.Count(said, "digestd: "); n != says {
					m.Errorf("rpm says %d times something of digestd, want %d:\n%s", n, says, said)
				}
			}
			plugin("")
			for _, root := range []string{"/", "/image"} {
				rpm("--root", root, "--initdb")
				rpm("--root", root, "--import", "/packages/vendor.asc")
			}

			// Nobody answers.
			install("tool-1-1.noarch.rpm", 1)
			// As mock and anaconda bind a directory of the machine around it, with its digestd.
			host := pkgtest.NewMachine(t, programs, filepath.Join(copied.Root, "host"))
			host.Trust(vendor)
			host.Start()
			plugin("socket=/host/run/hook.sock")
			install("other-1-1.noarch.rpm", 0)
			install(nested, 0)
			if names := host.Names(); len(names) > 0 {
				t.Errorf("the other digestd has lists %q", names)
			}
			rpm("-e", "nested")
			host.Stop()

			// It boots.
			m.Start()
			lists := []string{"tlv-other-0:1-1.noarch", "tlv-tool-0:1-1.noarch"}
			m.WantLists(lists...)
			plugin("socket=/etc/digestd/run/hook.sock")
			rpm("--root", "/image", "-e", "other")
			install(nested, 0)
			m.WantLists(append([]string{"tlv-nested-0:1-1.noarch"}, lists...)...)
			if got := m.Label("/usr/bin/nested"); got != "tlv-nested-0:1-1.noarch" {
				t.Errorf("label %q", got)
			}
			if asked, _ := os.ReadFile(filepath.Join(copied.Root, "asked")); strings.TrimSpace(string(asked)) != "nested-1-1.noarch" {
				t.Errorf("its scriptlet was answered %q", asked)
			}
			m.Stop()
		})
	}
}
