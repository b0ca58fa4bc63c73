// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/digestd/digestd/integration/pkgtest"
)

// Once a denial began, it is complete after the next start, wherever the daemon
// died; and nobody is taken for an intruder.
func TestKilled(t *testing.T) {
	for _, point := range pkgtest.Failpoints(t, "deny-", 4) {
		for nth := 1; nth <= 2; nth++ {
			t.Run(fmt.Sprintf("%s-%d", point, nth), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.RPM("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"),
					m.build("twin-1-1.noarch", "/opt/copy=miner", "/opt/mine=twin"), m.build("old-1-1.noarch", "/opt/old=1"),
					m.build("older-1-1.noarch", "/opt/older=1"), m.build("safe-1-1.noarch", "/opt/safe=1"))
				file := filepath.Join(t.TempDir(), "denials.json")
				document := `{"format":"digestd-denials","version":1,"denials":[
{"digests":["sha256:` + sum("miner") + `"],"reason":"content"},
{"package":"old","reason":"package"},{"package":"older","below":"2","reason":"version"}]}`
				if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
					t.Fatal(err)
				}
				counter := m.Status().Counter
				m.Stop()
				m.Start(fmt.Sprintf("DIGESTD_FAILPOINT=%s:%d", point, nth))
				m.Digestctl("deny", "import", file).Run()
				m.Wait()
				m.Start()
				for range 2 {
					m.HasLists(hello, "tlv-safe-0:1-1.noarch", twin)
					m.has(hello, "/usr/bin/good")
					m.has(twin, "/opt/mine")
					m.Exits(0, "sync")
				}
				st := m.Status()
				if st.Counter < counter {
					t.Errorf("counter fell from %d to %d", counter, st.Counter)
				}
				if st.Lists.Quarantined > 0 {
					t.Errorf("our own lists are in quarantine:\n%s", m.Exits(0, "list", "quarantined"))
				}
				for _, id := range []string{sum("miner"), "old", "older<2"} {
					m.Exits(0, "deny", "lift", id, "--reason", "test")
				}
				m.WantLists(hello, "tlv-old-0:1-1.noarch", "tlv-older-0:1-1.noarch", "tlv-safe-0:1-1.noarch", twin)
				m.Until("all contents are back", func() bool { return len(m.files(hello)) == 2 && len(m.files(twin)) == 2 })
				m.Stop()
			})
		}
	}
}
