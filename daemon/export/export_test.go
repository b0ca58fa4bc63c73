// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// machine is one whose exporter runs.
type machine struct {
	*daemontest.Machine
	trust, keylime string // files for fapolicyd and Keylime
	stop           func()
}

// exporting returns a machine that writes both files, in a directory that is there.
func exporting(t *testing.T) *machine {
	t.Helper()
	m := &machine{}
	dir := t.TempDir()
	m.trust, m.keylime = filepath.Join(dir, "digestd"), filepath.Join(dir, "policy.json")
	m.Machine = daemontest.New(t, func(c *config.Config) { c.Fapolicyd, c.Keylime = m.trust, m.keylime })
	m.stop = daemontest.Loop(t, m.Exporter.Run)
	return m
}

// pkg installs a package with files that lie on the machine as it has them.
func (m *machine) pkg(t *testing.T, name string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		m.File(t, path, content)
	}
	m.Install(t, daemontest.Package(t, name, "", files))
}

// trusted are the lines of the file for fapolicyd, without its head.
func (m *machine) trusted() (lines []string) {
	data, err := os.ReadFile(m.trust)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(lines)
	return lines
}

// line is what fapolicyd reads of a file.
func line(path, content string) string {
	return fmt.Sprintf("%s %d %x", path, len(content), sha256.Sum256([]byte(content)))
}

func (m *machine) wantTrusted(t *testing.T, when string, lines ...string) {
	t.Helper()
	slices.Sort(lines)
	defer func() {
		if t.Failed() {
			t.Logf("%s: the file has %q, want %q", when, m.trusted(), lines)
		}
	}()
	daemontest.Await(t, when, func() bool { return slices.Equal(m.trusted(), lines) })
}

// fapolicyd trusts the files that active lists vouch for, under the paths at which they
// really lie, as long as they do.
func TestFapolicydFollowsLists(t *testing.T) {
	m := exporting(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one", "/usr/bin/with blank": "blank"})
	if err := os.Symlink("usr/bin", m.Path("/bin")); err != nil {
		t.Fatal(err)
	}
	m.Install(t, daemontest.Package(t, "link", "", map[string]string{"/bin/link": "two", "/usr/bin/missing": "three", "/nowhere/file": "four"}))
	m.File(t, "/usr/bin/link", "two")
	m.Sync(t)
	m.wantTrusted(t, "installed", line("/usr/bin/tool", "one"), line("/usr/bin/link", "two"))
	info, err := os.Stat(m.trust)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("the file has the mode %s: %v", info.Mode(), err)
	}
	if err := m.FloorSet(t.Context(), daemontest.Root, "tool.noarch", "2-1", "too old"); err != nil {
		t.Fatal(err)
	}
	m.wantTrusted(t, "withdrawn", line("/usr/bin/link", "two"))
	m.Erase(t, daemontest.Package(t, "link", "", nil))
	m.Sync(t)
	m.wantTrusted(t, "erased")
	// The other file may be about to be replaced.
	daemontest.Await(t, "nothing beside the two files", func() bool {
		left, err := os.ReadDir(filepath.Dir(m.trust))
		return err == nil && len(left) == 2
	})
}

// A file that would say the same is not written again; one that somebody removed is.
func TestUnchangedExportStays(t *testing.T) {
	m := exporting(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one"})
	m.Sync(t)
	m.wantTrusted(t, "installed", line("/usr/bin/tool", "one"))
	first, err := os.Stat(m.trust)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.keylime); err != nil {
		t.Fatal(err)
	}
	m.WakeNeighbours()
	daemontest.Await(t, "the file that was removed", func() bool { _, err := os.Stat(m.keylime); return err == nil })
	if now, err := os.Stat(m.trust); err != nil || !os.SameFile(first, now) {
		t.Errorf("the other was written anew: %v", err)
	}
}

// Exports have the state in which no transaction is in flight: in between, a file would be read
// that is about to change.
func TestExportWaitsForTransactions(t *testing.T) {
	m := exporting(t)
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one"})
	m.Sync(t)
	m.wantTrusted(t, "installed", line("/usr/bin/tool", "one"))
	txn := &state.Transaction{Added: map[record.Digest]*state.Addition{}, ByIndex: map[uint32]*state.Addition{}}
	m.Enter(t, func(s *ledger.Ledger) {
		s.Opened(txn)
		s.Show()
	})
	if err := m.FloorSet(t.Context(), daemontest.Root, "tool.noarch", "2-1", "too old"); err != nil {
		t.Fatal(err)
	}
	daemontest.Await(t, "the change is seen", func() bool { return len(m.ListsChanged) == 0 })
	if got := m.trusted(); len(got) != 1 {
		t.Errorf("within a transaction the file has %q", got)
	}
	if _, _, err := m.Exec.End(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	m.wantTrusted(t, "the transaction has ended")
}

// A file that cannot be written is named in status, keeps the other from nothing, and is
// written as soon as that can be.
func TestExportThatCannotBeWritten(t *testing.T) {
	m := exporting(t)
	m.stop()
	m.Config.Fapolicyd = filepath.Join(t.TempDir(), "missing", "digestd")
	m.Stop()
	m.Start(t)
	daemontest.Loop(t, m.Exporter.Run)
	m.trust = m.Config.Fapolicyd
	m.pkg(t, "tool", map[string]string{"/usr/bin/tool": "one"})
	m.Sync(t)
	daemontest.Await(t, "the problem", func() bool { return strings.Contains(m.Problem("fapolicyd").Text, "cannot write "+m.trust) })
	daemontest.Await(t, "the other file", func() bool { data, _ := os.ReadFile(m.keylime); return strings.Contains(string(data), "/usr/bin/tool") })
	if err := os.Mkdir(filepath.Dir(m.trust), 0o755); err != nil {
		t.Fatal(err)
	}
	m.wantTrusted(t, "written", line("/usr/bin/tool", "one"))
	daemontest.Await(t, "the end of the problem", func() bool { return m.Problem("fapolicyd").Text == "" })
}

// Keylime accepts each content that a list has for a path.
func TestKeylimePolicy(t *testing.T) {
	m := exporting(t)
	m.pkg(t, "left", map[string]string{"/usr/bin/both": "one", "/usr/bin/left": "two"})
	m.Install(t, daemontest.Package(t, "right", "", map[string]string{"/usr/bin/both": "three"}))
	m.Sync(t)
	want := map[string][]string{"/usr/bin/both": {sha("one"), sha("three")}, "/usr/bin/left": {sha("two")}}
	var policy struct {
		Digests map[string][]string `json:"digests"`
	}
	defer func() {
		if t.Failed() {
			t.Logf("the policy accepts %v, want %v", policy.Digests, want)
		}
	}()
	daemontest.Await(t, "the policy", func() bool {
		data, err := os.ReadFile(m.keylime)
		policy.Digests = nil
		if err != nil || json.Unmarshal(data, &policy) != nil || len(policy.Digests) < len(want) {
			return false
		}
		for path, sums := range want {
			slices.Sort(sums)
			got := slices.Clone(policy.Digests[path])
			if slices.Sort(got); !slices.Equal(got, sums) {
				return false
			}
		}
		return true
	})
}

func sha(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }

// ownWide publishes an own list that knows files by SHA-512.
func (m *machine) ownWide(t *testing.T, files map[string]string) {
	t.Helper()
	g := digestlist.Group{Algo: digestlist.SHA512}
	for path, content := range files {
		sum := sha512.Sum512([]byte(content))
		g.Entries = append(g.Entries, digestlist.Entry{Digest: sum[:], Path: path})
	}
	slices.SortFunc(g.Entries, func(a, b digestlist.Entry) int { return strings.Compare(a.Path, b.Path) })
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{g})
	if err != nil {
		t.Fatal(err)
	}
	upload, err := m.OwnAppend(t.Context(), daemontest.Root, 0, body)
	if err == nil {
		_, err = m.OwnPublish(t.Context(), daemontest.Root, api.OwnRequest{Name: "wide", Upload: upload}, daemontest.Quiet)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Of a file that a list knows by another digest than SHA-256, the content is trusted only
// if it is what the list has.
func TestFilesKnownByAnotherDigest(t *testing.T) {
	m := exporting(t)
	m.File(t, "/opt/good", "one")
	changed := m.File(t, "/opt/changed", "theirs")
	m.ownWide(t, map[string]string{"/opt/good": "one", "/opt/changed": "two", "/opt/missing": "three"})
	m.wantTrusted(t, "published", line("/opt/good", "one"))
	if err := os.WriteFile(changed, []byte("two"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.WakeNeighbours()
	m.wantTrusted(t, "mended", line("/opt/good", "one"), line("/opt/changed", "two"))
	if got := m.Problem("fapolicyd-left-out").Text; got != "" {
		t.Errorf("status says %q", got)
	}
}
