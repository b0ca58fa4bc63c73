// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// immutable makes a list immutable, and returns what takes that back.
func (m *machine) immutable(name string) (release func()) {
	m.Helper()
	file := m.list(name)
	change := func(how string) error { return exec.Command("chattr", how, file).Run() }
	if err := change("+i"); err != nil {
		m.Fatalf("cannot make %s immutable: %v", file, err)
	}
	m.Cleanup(func() { change("-i") })
	return func() {
		m.Helper()
		m.OK(change("-i"))
	}
}

// stuck is a machine with packages of which the list of one is immutable.
func stuck(t *testing.T) (m *machine, release func()) {
	t.Helper()
	m = start(t)
	m.importKey("other")
	m.RPM("-U", m.build("aa-1-1.noarch", "/opt/aa=1"), m.build("bb-1-1.noarch", "/opt/bb=1"), m.build("cc-1-1.noarch", "/opt/cc=1"))
	m.WantLists("tlv-aa-0:1-1.noarch", "tlv-bb-0:1-1.noarch", "tlv-cc-0:1-1.noarch")
	return m, m.immutable("tlv-aa-0:1-1.noarch")
}

// One list that cannot be removed keeps no other from leaving, and is not forgotten.
func TestListNotRemovable(t *testing.T) {
	const left = "tlv-aa-0:1-1.noarch"
	for name, act := range map[string]func(m *machine){
		"revoked": func(m *machine) {
			vendor, err := signerOf("vendor")
			m.OK(err)
			m.Must("keys", "revoke", vendor.fingerprint(), "--reason", "test")
		},
		"denied": func(m *machine) {
			for _, pkg := range []string{"aa", "bb", "cc"} {
				m.Must("deny", pkg+".noarch", "--reason", "test")
			}
		},
		"erased": func(m *machine) { m.RPM("-e", "aa", "bb", "cc") },
		"floor": func(m *machine) {
			for _, pkg := range []string{"aa", "bb", "cc"} {
				m.Must("floor", "set", pkg+".noarch", "2-1", "--reason", "test")
			}
			m.Must("sync")
		},
		"erased behind its back": func(m *machine) {
			m.RPM("-e", "--noplugins", "aa", "bb", "cc")
			m.Must("sync")
		},
		"erased while away": func(m *machine) {
			m.Stop()
			m.RPM("-e", "--noplugins", "aa", "bb", "cc")
			m.Start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, release := stuck(t)
			act(m)
			m.WantLists(left)
			if text := m.AwaitProblem("leftover"); !strings.Contains(text, left) || !strings.Contains(text, "not permitted") {
				t.Errorf("the problem does not name it: %s", text)
			}
			// Comparisons come to their end, other packages get their lists.
			m.Must("sync")
			if name != "revoked" {
				m.RPM("-U", m.build("later-1-1.noarch"))
				m.WantLists(left, "tlv-later-0:1-1.noarch")
			}
			m.Kill()
			m.Start()
			m.AwaitProblem("leftover")
			if log := m.Log(); strings.Contains(log, "tampered") {
				t.Error("digestd accuses itself")
			}
			release()
			m.Solved("leftover")
			if !pkgtest.Await(func() bool { return !slices.Contains(m.Names(), left) }) {
				t.Errorf("it is still there: %v", m.Names())
			}
			m.Must("sync")
			m.Must("status")
		})
	}
}

// A list that cannot be replaced keeps no other from being made anew.
func TestListNotReplaceable(t *testing.T) {
	m, release := stuck(t)
	before := read(t, m.list("tlv-bb-0:1-1.noarch"))
	m.Says(m.Exits(3, "keys", "rotate", "--reason", "test"), "1 list by the former key could not be replaced yet")
	if !pkgtest.Await(func() bool {
		return string(read(t, m.list("tlv-bb-0:1-1.noarch"))) != string(before)
	}) {
		t.Error("the other lists are not signed anew")
	}
	if text := m.AwaitProblem("packages"); !strings.Contains(text, "aa-1-1.noarch") {
		t.Errorf("the problem does not name it: %s", text)
	}
	m.WantLists("tlv-aa-0:1-1.noarch", "tlv-bb-0:1-1.noarch", "tlv-cc-0:1-1.noarch")
	release()
	m.Solved("packages")
	m.Wholesome()
	m.Must("status")
}
