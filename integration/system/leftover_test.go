// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// immutable makes a list immutable, and returns what takes that back.
func (m *machine) immutable(name string) (release func()) {
	m.Helper()
	file := filepath.Join(m.place, "lists", name)
	change := func(how string) error { return exec.Command("chattr", how, file).Run() }
	if err := change("+i"); err != nil {
		m.Fatalf("cannot make %s immutable: %v", file, err)
	}
	m.Cleanup(func() { change("-i") })
	return func() {
		m.Helper()
		if err := change("-i"); err != nil {
			m.Fatal(err)
		}
	}
}

// stuck is a machine with packages of which the list of one is immutable.
func stuck(t *testing.T) (m *machine, release func()) {
	t.Helper()
	m = start(t)
	m.importKey("other")
	m.mustRPM("-U", m.mustBuild("aa-1-1.noarch", "/opt/aa=1"), m.mustBuild("bb-1-1.noarch", "/opt/bb=1"), m.mustBuild("cc-1-1.noarch", "/opt/cc=1"))
	m.eventually("tlv-aa-0:1-1.noarch", "tlv-bb-0:1-1.noarch", "tlv-cc-0:1-1.noarch")
	return m, m.immutable("tlv-aa-0:1-1.noarch")
}

// One list that cannot be removed keeps no other from leaving, and is not forgotten.
func TestListNotRemovable(t *testing.T) {
	const left = "tlv-aa-0:1-1.noarch"
	for name, act := range map[string]func(m *machine){
		"revoked": func(m *machine) {
			vendor, err := signerOf("vendor")
			if err != nil {
				m.Fatal(err)
			}
			m.mustCtl("keys", "revoke", vendor.fingerprint(), "--reason", "test")
		},
		"denied": func(m *machine) {
			for _, pkg := range []string{"aa", "bb", "cc"} {
				m.mustCtl("deny", pkg+".noarch", "--reason", "test")
			}
		},
		"erased": func(m *machine) { m.mustRPM("-e", "aa", "bb", "cc") },
		"floor": func(m *machine) {
			for _, pkg := range []string{"aa", "bb", "cc"} {
				m.mustCtl("floor", "set", pkg+".noarch", "2-1", "--reason", "test")
			}
			m.mustCtl("sync")
		},
		"erased behind its back": func(m *machine) {
			m.mustRPM("-e", "--noplugins", "aa", "bb", "cc")
			m.mustCtl("sync")
		},
		"erased while away": func(m *machine) {
			m.stop()
			m.mustRPM("-e", "--noplugins", "aa", "bb", "cc")
			m.startDaemon()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, release := stuck(t)
			act(m)
			m.eventually(left)
			if text := m.awaitProblem("leftover"); !strings.Contains(text, left) || !strings.Contains(text, "not permitted") {
				t.Errorf("the problem does not name it: %s", text)
			}
			// Comparisons come to their end, other packages get their lists.
			m.mustCtl("sync")
			if name != "revoked" {
				m.mustRPM("-U", m.mustBuild("later-1-1.noarch"))
				m.eventually(left, "tlv-later-0:1-1.noarch")
			}
			m.kill()
			m.startDaemon()
			m.awaitProblem("leftover")
			if log := m.log.String(); strings.Contains(log, "tampered") {
				t.Error("digestd accuses itself")
			}
			release()
			m.solved("leftover")
			if !m.wait(func() bool { return !slices.Contains(m.lists(), left) }) {
				t.Errorf("it is still there: %v", m.lists())
			}
			m.mustCtl("sync")
			m.mustCtl("status")
		})
	}
}

// A list that cannot be replaced keeps no other from being made anew.
func TestListNotReplaceable(t *testing.T) {
	m, release := stuck(t)
	before := read(t, filepath.Join(m.place, "lists", "tlv-bb-0:1-1.noarch"))
	m.mustCtl("keys", "rotate", "--reason", "test")
	if !m.wait(func() bool {
		return string(read(t, filepath.Join(m.place, "lists", "tlv-bb-0:1-1.noarch"))) != string(before)
	}) {
		t.Error("the other lists are not signed anew")
	}
	if text := m.awaitProblem("packages"); !strings.Contains(text, "aa-1-1.noarch") {
		t.Errorf("the problem does not name it: %s", text)
	}
	m.eventually("tlv-aa-0:1-1.noarch", "tlv-bb-0:1-1.noarch", "tlv-cc-0:1-1.noarch")
	release()
	m.solved("packages")
	m.wholesome()
	m.mustCtl("status")
}
