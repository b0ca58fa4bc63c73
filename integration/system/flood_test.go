// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// quarantined is what lies in quarantine. Thousands of files in the list directory erase no
// decision from the log, and fill no disk.
func TestFloodOfFiles(t *testing.T) {
	const files, most = 10_100, 1000
	m := start(t)
	m.RPM("-U", m.build("up-1-1.noarch"))
	m.Must("floor", "set", "up.noarch", "0.5-1", "--reason", "CVE-1")
	lists := m.Lists()
	for i := range files {
		write(t, filepath.Join(lists, fmt.Sprintf("tlv-e%d-0:1-1.noarch", i)), []byte("x"))
	}
	m.WantLists("tlv-up-0:1-1.noarch")
	if n := len(m.Quarantined()); n != most {
		t.Errorf("%d files in quarantine, want %d", n, most)
	}
	if out := m.Must("rollback", "log"); !strings.Contains(out, "CVE-1") {
		t.Errorf("the floor is gone from the log:\n%s", out)
	}
	if !pkgtest.Await(func() bool {
		p, _ := m.Problem("quarantine")
		return strings.Contains(p.Text, fmt.Sprintf("%d more were removed", files-most))
	}) {
		t.Errorf("the problem is %q", m.AwaitProblem("quarantine"))
	}
	told := func() string { return m.Must("log", "--kind", "tampered") }
	if n := strings.Count(told(), "tlv-e"); n > 100 {
		t.Errorf("%d of the files have an entry of their own", n)
	}
	if !pkgtest.Await(func() bool { return strings.Contains(told(), "more cases within") }) {
		t.Errorf("the others are not summed up:\n%s", told())
	}
	// An emptied quarantine has room again.
	for _, name := range m.Quarantined() {
		m.OK(os.Remove(filepath.Join(m.Lists()+".quarantine", name)))
	}
	m.Must("sync")
	m.Must("status")
	write(t, filepath.Join(lists, "tlv-late-0:1-1.noarch"), []byte("x"))
	if !pkgtest.Await(func() bool { return len(m.Quarantined()) == 1 }) {
		t.Error("a later file is not kept")
	}
}

// The quarantine is bounded in bytes as well, whatever form they come in.
func TestQuarantineHasRoom(t *testing.T) {
	m := start(t)
	lists := m.Lists()
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
	outside := m.In("outside")
	m.OK(os.MkdirAll(filepath.Join(outside, "in", "it"), 0o755))
	sparse(filepath.Join(outside, "in", "it", "large"), 300<<20)
	sparse(filepath.Join(outside, "small"), 1<<10)
	for from, to := range map[string]string{"in": "tlv-directory", "small": "tlv-small"} {
		if err := os.Rename(filepath.Join(outside, from), filepath.Join(lists, to)); err != nil {
			t.Fatal(err)
		}
	}
	sparse(filepath.Join(lists, "tlv-large-0:1-1.noarch"), 300<<20)
	m.WantLists()
	if kept := m.Quarantined(); len(kept) != 1 || !strings.HasSuffix(kept[0], "tlv-small") {
		t.Errorf("in quarantine: %v", kept)
	}
	m.Wholesome() // nothing is left in staging
	m.AwaitProblem("quarantine")
}
