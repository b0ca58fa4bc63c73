// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
)

// A package that is denied, or too old, loses its list, and rpm does not install
// it.
func TestPackage(t *testing.T) {
	m := newMachine(t)
	one := m.build("hello-1-1.noarch", "/usr/bin/hello=1")
	two := m.build("hello-2-1.noarch", "/usr/bin/hello=2")
	other := m.build("other-1-1.noarch", "/usr/bin/other=1")
	m.RPM("-i", one, other)
	m.HasLists(hello, "tlv-other-0:1-1.noarch")

	m.Says(m.Exits(0, "deny", "hello<2", "--reason", "remote code execution", "--ticket", "CVE-2026-1234"), "hello<2 is denied")
	m.HasLists("tlv-other-0:1-1.noarch")
	m.Says(m.Exits(3, "why", m.Path("/usr/bin/hello")), "denied by root because remote code execution (CVE-2026-1234)", "deny lift d-")
	m.Says(m.Exits(0, "list", "withheld"), "hello-1-1.noarch", "below 2", "CVE-2026-1234")
	says := []string{"hello-1-1.noarch is below 2", "remote code execution", "CVE-2026-1234", "digestctl deny lift d-"}
	m.RPMFails(says, "-U", "--replacepkgs", one)
	m.RPM("-e", "hello")
	m.RPMFails(says, "-i", one)
	m.Kill()
	m.Start()
	m.RPMFails(says, "-i", one)
	m.Says(m.Exits(2, "rollback", "grant", "hello-1-1.noarch", "--reason", "x"), "no grant can admit it")
	m.RPM("-i", two)
	m.HasLists("tlv-hello-0:2-1.noarch", "tlv-other-0:1-1.noarch")

	// Never installed, by name and architecture, and by version.
	m.Exits(0, "deny", "future.noarch", "--reason", "not here")
	m.RPMFails([]string{"not here"}, "-i", m.build("future-9-1.noarch", "/opt/future=1"))
	m.Exits(0, "deny", "exact-2-1.noarch", "--reason", "regression")
	m.RPMFails([]string{"regression"}, "-i", m.build("exact-2-1.noarch", "/opt/exact=2"))
	m.RPM("-i", m.build("exact-2-2.noarch", "/opt/exact=3"))

	// A list returns with the word that withheld it: once more it is what it was.
	m.Exits(0, "deny", "hello", "--reason", "all of it")
	m.HasLists("tlv-exact-0:2-2.noarch", "tlv-other-0:1-1.noarch")
	m.Exits(0, "deny", "lift", "hello", "--reason", "no")
	m.WantLists("tlv-exact-0:2-2.noarch", "tlv-hello-0:2-1.noarch", "tlv-other-0:1-1.noarch")
	m.vouched("/usr/bin/hello")
	m.Exits(0, "deny", "lift", "hello<2", "--reason", "fixed otherwise")
	m.RPMFails([]string{"older than 2-1"}, "-U", "--oldpackage", one) // it is old all the same
	m.Stop()
}

// A version that was granted returns with its grant.
func TestGranted(t *testing.T) {
	m := newMachine(t)
	one := m.build("hello-1-1.noarch", "/usr/bin/hello=1")
	m.RPM("-i", m.build("hello-2-1.noarch", "/usr/bin/hello=2"))
	m.Exits(0, "rollback", "grant", "hello-1-1.noarch", "--reason", "two is broken")
	m.RPM("-U", "--oldpackage", one)
	m.HasLists(hello)
	m.Exits(0, "deny", "hello-1-1.noarch", "--reason", "one is worse")
	m.HasLists()
	m.Exits(0, "sync")
	m.HasLists()
	m.Exits(0, "deny", "lift", "hello-1-1.noarch", "--reason", "one is better")
	m.WantLists(hello)
	m.Exits(0, "sync")
	m.HasLists(hello)
	m.Stop()
}

// In the other modes a denied package can be installed, and has no list.
func TestModes(t *testing.T) {
	for _, mode := range []string{"withhold", "audit"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, `mode = "`+mode+`"`)
			m.Exits(0, "deny", "hello.noarch", "--reason", "test")
			m.Says(m.RPM("-i", m.build("hello-1-1.noarch", "/usr/bin/hello=1")), "hello-1-1.noarch is denied by root because test")
			m.HasLists()
			m.Exits(0, "deny", "lift", "hello.noarch", "--reason", "test")
			m.WantLists(hello)
			m.Stop()
		})
	}
}

// Denials that were exported here are denied there, and once only.
func TestExportAndImport(t *testing.T) {
	m := newMachine(t)
	m.RPM("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"), m.build("old-1-1.noarch", "/opt/old=1"))
	m.Exits(0, "deny", m.Path("/usr/bin/bad"), "--reason", "found by an incident", "--expires", "30d")
	m.Exits(0, "deny", "old<2", "--reason", "too old", "--ticket", "CVE-2026-1")
	file := filepath.Join(t.TempDir(), "denials.json")
	m.Says(m.Exits(0, "deny", "export", file), "2 denials written")
	m.Exits(1, "deny", "export", file)
	first := m.Exits(0, "deny", "export")
	var r api.DenialImport
	m.OK(json.Unmarshal([]byte(m.Exits(0, "deny", "import", file, "--json")), &r))
	if r.Same != 2 || r.Added+r.Merged+r.Lists != 0 {
		t.Errorf("what is there was imported again: %+v", r)
	}

	for _, what := range []string{"old<2", m.Path("/usr/bin/bad")} {
		m.Exits(0, "deny", "lift", what, "--reason", "test")
	}
	m.Until("all is back", func() bool { return len(m.Names()) == 2 && len(m.files(hello)) == 2 })
	m.Exits(0, "sync")
	out := m.Exits(0, "deny", "import", "--dry-run", file)
	m.Says(out, "added", "old-1-1.noarch", "hello-1-1.noarch", "2 added", "2 lists", "nothing was changed")
	m.has(hello, "/usr/bin/bad", "/usr/bin/good")
	m.Says(m.Exits(0, "deny", "list"), "nothing is denied")

	m.Exits(0, "deny", "import", file)
	m.HasLists(hello)
	m.has(hello, "/usr/bin/good")
	if again := m.Exits(0, "deny", "export"); again != first {
		t.Errorf("exported again it is\n%s\nnot\n%s", again, first)
	}
	bad := filepath.Join(t.TempDir(), "bad.json")
	m.OK(os.WriteFile(bad, []byte(strings.Replace(first, `"old"`, `"ol d"`, 1)), 0o644))
	m.Exits(2, "deny", "import", bad)
	m.Exits(4, "deny", "import", bad+".not")

	// With the index the denials are lost. That is said, and they can be said again.
	m.Kill()
	m.OK(os.Remove(filepath.Join(m.State(), "index.db")))
	m.Start()
	m.Says(m.Exits(3, "status"), "index is missing", "restore denials: digestctl deny import")
	m.Says(m.Exits(0, "deny", "list"), "nothing is denied")
	m.Exits(0, "deny", "import", file)
	m.HasLists(hello)
	m.has(hello, "/usr/bin/good")
	m.Stop()
}

// A denial ends by itself, also one whose time went by while nobody looked.
func TestExpiry(t *testing.T) {
	m := newMachine(t)
	m.RPM("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"), m.build("old-1-1.noarch", "/opt/old=1"))
	m.denyFor(4*time.Second, m.Path("/usr/bin/bad"))
	m.Exits(0, "deny", "old", "--reason", "test", "--expires", time.Now().Add(time.Hour).Format(time.RFC3339))
	m.Exits(2, "deny", "old", "--reason", "test", "--expires", "2020-01-01")
	m.WantLists(hello)
	m.Until("the content is back", func() bool { return slices.Equal(m.files(hello), []string{"/usr/bin/bad", "/usr/bin/good"}) })
	if out := m.Exits(0, "deny", "list"); strings.Contains(out, "bad") || !strings.Contains(out, "old") {
		t.Errorf("denied is\n%s", out)
	}
	end := m.denyFor(time.Second, "old")
	m.Kill()
	time.Sleep(time.Until(end))
	m.Start()
	m.HasLists(hello, "tlv-old-0:1-1.noarch")
	m.Says(m.Exits(0, "deny", "list"), "nothing is denied")
	m.Stop()
}

// denyFor denies something for a while, and returns when that is over at the
// latest. On a busy machine a while may be over before it is said: then it takes
// longer ones.
func (m *machine) denyFor(while time.Duration, what string) time.Time {
	m.Helper()
	for {
		cmd := m.Digestctl("deny", what, "--reason", "test", "--expires", while.String())
		out, err := cmd.CombinedOutput()
		if err == nil {
			return time.Now().Add(while)
		}
		m.Says(string(out), "is in the past")
		while *= 2
	}
}
