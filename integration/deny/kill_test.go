// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
)

// Once a denial began, it is complete after the next start, wherever the daemon
// died; and nobody is taken for an intruder.
func TestKilled(t *testing.T) {
	pkgtest.Crashes[denying]{
		Passes:  pkgtest.Passes{"deny": pkgtest.OwnEffects("deny")},
		Most:    2,
		Prepare: newDenying,
		Do:      func(m denying) { m.deny().Run() },
		After: func(m denying, died pkgtest.Death) {
			if died.At("deny", failpoint.BeforeIntent) {
				m.WantLists(hello, "tlv-old-0:1-1.noarch", "tlv-older-0:1-1.noarch", "tlv-safe-0:1-1.noarch", twin)
				m.OK(m.deny().Run()) // nothing has happened
			}
			for range 2 {
				m.HasLists(hello, "tlv-safe-0:1-1.noarch", twin)
				m.has(hello, "/usr/bin/good")
				m.has(twin, "/opt/mine")
				m.Exits(0, "sync")
			}
			st := m.Status()
			if st.Counter < m.counter {
				m.Errorf("counter fell from %d to %d", m.counter, st.Counter)
			}
			if st.Lists.Quarantined > 0 {
				m.Errorf("our own lists are in quarantine:\n%s", m.Exits(0, "list", "quarantined"))
			}
			for _, id := range []string{sum("miner"), "old", "older<2"} {
				m.Exits(0, "deny", "lift", id, "--reason", "test")
			}
			m.WantLists(hello, "tlv-old-0:1-1.noarch", "tlv-older-0:1-1.noarch", "tlv-safe-0:1-1.noarch", twin)
			m.Until("all contents are back", func() bool { return len(m.files(hello)) == 2 && len(m.files(twin)) == 2 })
			m.Stop()
		},
	}.Try(t)
}

// denying is a machine on which lists leave and lists change when its document of
// denials is imported.
type denying struct {
	*machine
	document string
	counter  uint64
}

func newDenying(t *testing.T) denying {
	m := newMachine(t)
	m.RPM("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"),
		m.build("twin-1-1.noarch", "/opt/copy=miner", "/opt/mine=twin"), m.build("old-1-1.noarch", "/opt/old=1"),
		m.build("older-1-1.noarch", "/opt/older=1"), m.build("safe-1-1.noarch", "/opt/safe=1"))
	document := `{"format":"digestd-denials","version":1,"denials":[
{"digests":["sha256:` + sum("miner") + `"],"reason":"content"},
{"package":"old","reason":"package"},{"package":"older","below":"2","reason":"version"}]}`
	file := filepath.Join(t.TempDir(), "denials.json")
	m.OK(os.WriteFile(file, []byte(document), 0o644))
	return denying{m, file, m.Status().Counter}
}

func (m denying) deny() *exec.Cmd { return m.Digestctl("deny", "import", m.document) }
