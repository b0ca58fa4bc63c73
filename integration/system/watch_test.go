// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
)

// hasProblem reports whether status tells of a problem, and returns its text.
func (m *machine) hasProblem(id string) (text string, has bool) {
	m.Helper()
	problems := m.status().Problems
	i := slices.IndexFunc(problems, func(p api.Problem) bool { return p.ID == id })
	if i < 0 {
		return "", false
	}
	return problems[i].Text, true
}

// awaitProblem waits for a problem and returns its text.
func (m *machine) awaitProblem(id string) (text string) {
	m.Helper()
	if !m.wait(func() (has bool) { text, has = m.hasProblem(id); return has }) {
		m.Fatalf("no problem %s in status, only %+v", id, m.status().Problems)
	}
	return text
}

// solved waits for a problem to be gone.
func (m *machine) solved(id string) {
	m.Helper()
	if !m.wait(func() bool { _, has := m.hasProblem(id); return !has }) {
		text, _ := m.hasProblem(id)
		m.Fatalf("problem %s is still there: %s", id, text)
	}
}

// withoutInotify gives the daemon a user namespace with few inotify instances and
// watches, in which it is still root.
func (m *machine) withoutInotify(instances, watches string) {
	m.wrap = []string{"unshare", "-Ur", "sh", "-ec",
		"echo " + instances + " >/proc/sys/user/max_inotify_instances; echo " + watches + ` >/proc/sys/user/max_inotify_watches; exec "$@"`, "sh"}
}

// Other programs may have taken all that the kernel has of inotify: then digestd
// looks by itself, and says so.
func TestWithoutInotify(t *testing.T) {
	for name, limits := range map[string][2]string{"no instance": {"0", "100"}, "no watch": {"10", "0"}, "few watches": {"10", "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := newMachine(t, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			m.importKey("vendor")
			m.withoutInotify(limits[0], limits[1])
			m.startDaemon()
			if text := m.awaitProblem("watch"); !strings.Contains(text, "inotify") {
				t.Errorf("the problem is %q", text)
			}
			m.mustRPM("-U", m.mustBuild("told-1-1.noarch"))
			m.eventually("tlv-told-0:1-1.noarch")
			// What nobody tells of is found: in rpm's database, and in the list directory.
			m.mustRPM("-U", "--noplugins", m.mustBuild("untold-1-1.noarch"))
			m.eventually("tlv-told-0:1-1.noarch", "tlv-untold-0:1-1.noarch")
			write(t, filepath.Join(m.place, "lists", "tlv-alien-0:1-1.noarch"), []byte("x"))
			m.eventually("tlv-told-0:1-1.noarch", "tlv-untold-0:1-1.noarch")
			if err := os.Remove(filepath.Join(m.place, "lists", "tlv-told-0:1-1.noarch")); err != nil {
				t.Fatal(err)
			}
			m.eventually("tlv-told-0:1-1.noarch", "tlv-untold-0:1-1.noarch")
		})
	}
}
