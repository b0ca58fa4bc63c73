// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/pkgtest"
)

// signer is who releases policy, with GnuPG and rpmsign.
type signer struct {
	*pkgtest.GPG
	fingerprint string
}

func newSigner(t *testing.T, owner string) signer {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	g, err := pkgtest.NewGPG(dir, owner, "rsa2048")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	cmd := exec.Command("gpg", "--batch", "--with-colons", "--list-keys", owner)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+g.Home)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return signer{g, strings.ToLower(fields[9])}
		}
	}
	t.Fatalf("no fingerprint in %s", out)
	return signer{}
}

// release builds the package of one policy file by digestctl, and has it signed.
func (m *machine) release(by *signer, version, text string) string {
	m.Helper()
	dir, err := os.MkdirTemp(m.Dir, "policy")
	m.OK(err)
	m.OK(os.WriteFile(filepath.Join(dir, "base.toml"), []byte("version = 1\n"+text), 0o644))
	m.Exits(0, "policy", "check", filepath.Join(dir, "base.toml"))
	m.Exits(0, "policy", "build", dir, "--name", "fleet", "--version", version, "--output", dir)
	file := filepath.Join(dir, "fleet-"+version+"-1.noarch.rpm")
	if by != nil {
		m.OK(by.Sign(file))
	}
	return file
}

func (m *machine) policy(name string) (p api.Policy) {
	m.Helper()
	var doc struct{ Policies []api.Policy }
	m.JSON(&doc, "policy", "show", name)
	if len(doc.Policies) == 1 {
		p = doc.Policies[0]
	}
	return p
}

// rules are what is in force of a policy.
func (m *machine) rules(name string) string {
	m.Helper()
	var rules []string
	for _, w := range m.policy(name).Rules {
		rules = append(rules, w.Kind+" "+w.What)
	}
	return strings.Join(rules, ", ")
}

func (m *machine) says(when, want string) {
	m.Helper()
	if got := m.rules("base"); got != want {
		m.Fatalf("%s: in force is %q, want %q", when, got, want)
	}
}

const (
	floorOfHello = "[[floor]]\npackage = \"hello\"\nversion = \"0:2-1\"\nreason = \"CVE-2026-1\"\n"
	denialOfBad  = "[[denial]]\npackage = \"bad\"\nreason = \"not in this fleet\"\n"
	exemption    = "[[exemption]]\ncgroup = \"/lxc\"\nreason = \"containers\"\n"
)

// TestPolicyPackage: the life of a fleet's policy, as an ordinary package of real rpm. It is in
// force when rpm has ended, an upgrade replaces it, an older release does not come back, and
// when it is removed, what tightens stays until somebody says otherwise. A file that is
// unsigned, signed by another key, or altered does not count.
func TestPolicyPackage(t *testing.T) {
	owner, stranger := newSigner(t, "fleet"), newSigner(t, "stranger")
	m := newMachine(t, fmt.Sprintf("policy-signers = [%q, %q]", owner.fingerprint, vendor.Fingerprint()))
	for name, s := range map[string]signer{"fleet": owner, "stranger": stranger} {
		data, err := os.ReadFile(s.Armor)
		m.OK(err)
		m.OK(os.WriteFile(filepath.Join(m.Keys(), name+".asc"), data, 0o644))
	}
	m.Exits(0, "sync")
	one, bad := m.build("hello-1-1.noarch", "/usr/bin/hello=1"), m.build("bad-1-1.noarch", "/usr/bin/bad=1")
	two, other := m.build("hello-2-1.noarch", "/usr/bin/hello=2"), m.build("other-1-1.noarch", "/usr/bin/other=1")
	m.RPM("-i", one, bad, other)

	m.RPM("-i", "--nosignature", m.release(nil, "1", floorOfHello))
	m.says("unsigned", "")
	m.HasProblem("policy", "no active list has it with this content")
	m.RPM("-e", "fleet")
	m.RPM("-i", m.release(&stranger, "1", floorOfHello))
	m.says("of a stranger", "")
	m.HasProblem("policy", "its package fleet-1-1.noarch is not signed by one of policy-signers")
	m.RPM("-e", "fleet")
	m.Solved("policy")

	first := m.release(&owner, "2", floorOfHello+denialOfBad+exemption)
	m.RPM("-i", first)
	m.says("installed", "floor hello, denial bad, exemption lxc")
	m.HasLists("tlv-fleet-0:2-1.noarch", "tlv-other-0:1-1.noarch")
	m.RPMFails([]string{"hello-1-1.noarch is below the floor 2-1 that policy:base sets"}, "-U", "--replacepkgs", one)
	m.RPMFails([]string{"denied by policy:base because not in this fleet", "see digestctl policy show base"}, "-U", "--replacepkgs", bad)
	m.RPM("-U", two)
	m.HasLists("tlv-fleet-0:2-1.noarch", "tlv-hello-0:2-1.noarch", "tlv-other-0:1-1.noarch")
	m.Kill()
	m.Start()
	m.says("after a crash", "floor hello, denial bad, exemption lxc")

	// Somebody changes it by hand: what loosened has ended.
	path := m.Path("/usr/lib/digestd/policy.d/base.toml")
	as, err := os.ReadFile(path)
	m.OK(err)
	m.OK(os.WriteFile(path, []byte("version = 1\n"+exemption), 0o644))
	m.AwaitProblem("policy", "no active list has it with this content")
	m.says("altered", "floor hello, denial bad")
	if p := m.policy("base"); p.State != api.PolicyLapsed || p.Gone.IsZero() {
		t.Errorf("altered it is %+v", p)
	}
	m.OK(os.WriteFile(path, as, 0o644))
	m.Exits(0, "sync")
	m.says("put back", "floor hello, denial bad, exemption lxc")
	m.Solved("policy")

	m.Says(m.Exits(0, "policy", "diff", path), "it says the same")
	second := m.release(&owner, "3", floorOfHello+exemption)
	m.RPM("-U", second)
	m.says("upgraded", "floor hello, exemption lxc")
	m.WantLists("tlv-bad-0:1-1.noarch", "tlv-fleet-0:3-1.noarch", "tlv-hello-0:2-1.noarch", "tlv-other-0:1-1.noarch")

	m.RPMFails([]string{"fleet-2-1.noarch is older than 3-1"}, "-U", "--oldpackage", first)
	m.Says(m.Exits(3, "check", "--root", m.Root.Dir, one), "would be refused", "older than 2-1")
	m.Says(m.Exits(0, "check", "--root", m.Root.Dir, other), "would be installed with a list", "vendor")
	m.says("yesterday's", "floor hello, exemption lxc")
	m.RPM("-U", m.Build(pkgtest.Package{Name: "fleet", Version: "4", Key: vendor, Files: map[string]string{
		"/usr/lib/digestd/policy.d/base.toml": "version = 1\n" + floorOfHello + denialOfBad + "colour = \"red\"\n"}}))
	m.says("with an error", "floor hello, exemption lxc")
	m.HasProblem("policy", "line 9: denial.colour: there is no such key")

	m.RPM("-U", m.release(&owner, "5", floorOfHello+exemption))
	m.Solved("policy")
	m.RPM("-e", "fleet")
	m.says("removed", "floor hello")
	m.RPMFails([]string{"below the floor 2-1 that policy:base sets"}, "-U", "--oldpackage", one)
	m.Exits(0, "policy", "forget", "base", "--reason", "the fleet has another policy")
	m.Exits(3, "policy", "show", "base")
	m.Says(m.Exits(0, "log"), "policy:base", "the fleet has another policy")
	m.Stop()
}
