// SPDX-License-Identifier: Apache-2.0

package enforce_test

import (
	"crypto/sha256"
	"os"
	"testing"

	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/guard/contents"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/kernel/guard"
	"github.com/digestd/digestd/store"
)

// TestGuardLearnsContents: what a list knows by SHA-512 is hashed where it lies, admitted if it
// is what the list says, kept over a restart, and taken out with the list.
func TestGuardLearnsContents(t *testing.T) {
	m := guarded(t)
	m.begin()
	wide := pkg(t, "wide", "good", "bad")
	wide.Wide = true
	m.Install(t, wide)
	m.Sync(t)
	m.agrees("installed")
	if len(m.kernel.Lists) != 0 {
		t.Fatalf("the guard has %d contents before they are known", len(m.kernel.Lists))
	}
	good, bad := m.File(t, "/usr/bin/good", "good"), m.File(t, "/usr/bin/bad", "altered")
	stop := daemontest.Loop(t, m.Guard.Run)
	comes := func(when string, contents ...string) {
		t.Helper()
		daemontest.Await(t, when, func() (all bool) {
			m.Exec.Do(t.Context(), func() error {
				all = len(m.kernel.Lists) == len(contents) && m.kernel.At == m.Index.(*store.Index).Commits()
				return nil
			})
			return all
		})
		m.holds(when, contents...)
	}
	comes("hashed", "good")
	m.File(t, "/usr/bin/bad", "bad")
	executor.Wake(m.Guard.Learning)
	comes("mended", "good", "bad")
	stop()
	// Another digestd finds it in the index, and hashes nothing.
	for _, path := range []string{good, bad} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	socket := m.Guard.Socket
	m.drop()
	m.Stop()
	clear(m.kernel.Lists)
	m.Start(t)
	m.Guard.Socket = socket
	m.Guard.Doubt()
	m.agrees("after a restart")
	m.holds("after a restart", "good", "bad")
	m.withdraw("wide")
	m.holds("the list left")
}

// TestGuardKnowsSizesAndKeepers: the guard hashes no file that is larger than all listed ones,
// and knows which programs may touch it.
func TestGuardKnowsSizesAndKeepers(t *testing.T) {
	m := guarded(t)
	m.begin()
	if !m.Guard.Agree(t.Context()) || m.kernel.Is.Largest != 1 {
		t.Errorf("without a list the largest file has %d bytes", m.kernel.Is.Largest)
	}
	keeper := func(content string) executor.List {
		sum := sha256.Sum256([]byte(content))
		body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: []digestlist.Entry{{Digest: sum[:], Path: guard.Keepers[0]}}}})
		if err != nil {
			t.Fatal(err)
		}
		return executor.List{Name: "tlv-" + content + "-0:1-1.noarch", Content: body, Largest: uint64(len(content))}
	}
	for _, content := range []string{"first", "second"} {
		if err := m.Guard.Admit(keeper(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	if m.kernel.Is.Largest != 6 || len(m.kernel.Keepers) != 2 {
		t.Errorf("the largest has %d bytes, and %d are keepers", m.kernel.Is.Largest, len(m.kernel.Keepers))
	}
	if err := m.Guard.Expel([]executor.List{keeper("first")}); err != nil || len(m.kernel.Keepers) != 1 || m.kernel.Keepers[0] != sha256.Sum256([]byte("second")) {
		t.Errorf("keepers are %x, %v", m.kernel.Keepers, err)
	}
	unknown := keeper("third")
	unknown.Largest = 0
	if err := m.Guard.Admit(unknown, nil); err != nil || m.kernel.Is.Largest != contents.MaxSize {
		t.Errorf("of unknown size: %d, %v", m.kernel.Is.Largest, err)
	}
}
