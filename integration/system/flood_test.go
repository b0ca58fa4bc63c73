// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// quarantined is what lies in quarantine.
func (m *machine) quarantined() []os.DirEntry {
	m.Helper()
	entries, err := os.ReadDir(filepath.Join(m.place, "lists.quarantine"))
	if err != nil {
		m.Fatal(err)
	}
	return entries
}

// Whoever drops thousands of files into the list directory erases no decision from
// the log, and fills no disk.
func TestFloodOfFiles(t *testing.T) {
	const files, most = 10_100, 1000
	m := start(t)
	m.mustRPM("-U", m.mustBuild("up-1-1.noarch"))
	m.mustCtl("floor", "set", "up.noarch", "0.5-1", "--reason", "CVE-1")
	lists := filepath.Join(m.place, "lists")
	for i := range files {
		write(t, filepath.Join(lists, fmt.Sprintf("tlv-e%d-0:1-1.noarch", i)), []byte("x"))
	}
	m.eventually("tlv-up-0:1-1.noarch")
	if n := len(m.quarantined()); n != most {
		t.Errorf("%d files in quarantine, want %d", n, most)
	}
	if out := m.mustCtl("rollback", "log"); !strings.Contains(out, "CVE-1") {
		t.Errorf("the floor is gone from the log:\n%s", out)
	}
	if !m.wait(func() bool {
		text, _ := m.hasProblem("quarantine")
		return strings.Contains(text, fmt.Sprintf("%d more were removed", files-most))
	}) {
		t.Errorf("the problem is %q", m.awaitProblem("quarantine"))
	}
	told := func() string { return m.mustCtl("log", "--kind", "tampered") }
	if n := strings.Count(told(), "tlv-e"); n > 100 {
		t.Errorf("%d of the files have an entry of their own", n)
	}
	if !m.wait(func() bool { return strings.Contains(told(), "more cases within") }) {
		t.Errorf("the others are not summed up:\n%s", told())
	}
	// An emptied quarantine has room again.
	for _, e := range m.quarantined() {
		if err := os.Remove(filepath.Join(m.place, "lists.quarantine", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	m.mustCtl("sync")
	m.mustCtl("status")
	write(t, filepath.Join(lists, "tlv-late-0:1-1.noarch"), []byte("x"))
	if !m.wait(func() bool { return len(m.quarantined()) == 1 }) {
		t.Error("a later file is not kept")
	}
}

// The quarantine is bounded in bytes as well, whatever form they come in.
func TestQuarantineHasRoom(t *testing.T) {
	m := start(t)
	lists := filepath.Join(m.place, "lists")
	sparse := func(path string, size int64) {
		t.Helper()
		f, err := os.Create(path)
		if err == nil {
			err = f.Truncate(size)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	outside := m.path("outside")
	if err := os.MkdirAll(filepath.Join(outside, "in", "it"), 0o755); err != nil {
		t.Fatal(err)
	}
	sparse(filepath.Join(outside, "in", "it", "large"), 300<<20)
	sparse(filepath.Join(outside, "small"), 1<<10)
	for from, to := range map[string]string{"in": "tlv-directory", "small": "tlv-small"} {
		if err := os.Rename(filepath.Join(outside, from), filepath.Join(lists, to)); err != nil {
			t.Fatal(err)
		}
	}
	sparse(filepath.Join(lists, "tlv-large-0:1-1.noarch"), 300<<20)
	m.eventually()
	if kept := m.quarantined(); len(kept) != 1 || !strings.HasSuffix(kept[0].Name(), "tlv-small") {
		t.Errorf("in quarantine: %v", kept)
	}
	m.wholesome() // nothing is left in staging
	m.awaitProblem("quarantine")
}
