// SPDX-License-Identifier: Apache-2.0

package enforce_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/daemon/daemontest"
	protocol "github.com/digestd/digestd/daemon/guard"
)

// exempts are the cgroups that the guard exempts, as it says itself.
func (m *machine) exempts() string {
	c, err := protocol.Dial(m.t.Context(), m.Guard.Socket)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	s, err := c.Status(m.t.Context())
	if err != nil {
		return err.Error()
	}
	names := ""
	for _, g := range s.Exempt {
		names += g.Name + " " + g.Forced
	}
	return names
}

// police writes a policy file, "" for none, and has it taken over.
func (m *machine) police(text string) {
	m.t.Helper()
	file := filepath.Join(m.Config.Policy, "site.toml")
	if text == "" {
		os.Remove(file)
	} else if err := os.WriteFile(file, []byte("version = 1\n[[exemption]]\n"+text+"\nreason = \"containers\"\n"), 0o644); err != nil {
		m.t.Fatal(err)
	}
	if err := m.Policies.Refresh(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// TestPoliciesExempt: containers that a policy exempts are exempt while it says so, also
// after the guard or digestd started anew in between.
func TestPoliciesExempt(t *testing.T) {
	m := guarded(t)
	end := m.begin()
	keep := daemontest.Loop(t, m.Guard.KeepExemptions)
	m.police(`cgroup = "/lxc"`)
	daemontest.Await(t, "it is exempt", func() bool { return m.exempts() == "lxc " })
	m.police(`cgroup = "/user.slice/ci"`)
	daemontest.Await(t, "status has the problem", func() bool { return m.Problem("policy-exempt").Text != "" })
	m.police("cgroup = \"/user.slice/ci\"\nforce = true")
	daemontest.Await(t, "it is exempt by force", func() bool { return m.exempts() == "user.slice/ci containers" })
	daemontest.Await(t, "the problem is solved", func() bool { return m.Problem("policy-exempt").Text == "" })

	end()
	m.begin()
	m.Guard.PoliciesChanged() // as when it is reached again
	daemontest.Await(t, "the next guard exempts it", func() bool { return m.exempts() == "user.slice/ci containers" })

	socket := m.Guard.Socket
	keep()
	m.Stop()
	os.Remove(filepath.Join(m.Config.Policy, "site.toml"))
	m.Start(t)
	m.Guard.Socket = socket
	daemontest.Loop(t, m.Guard.KeepExemptions)
	m.police("")
	daemontest.Await(t, "it is not exempt any more", func() bool { return m.exempts() == "" })
}
