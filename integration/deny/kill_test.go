// SPDX-License-Identifier: Apache-2.0

package deny_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// failpoints are the instants of a denial at which the daemon can be made to
// die, as its source names them.
func failpoints(t *testing.T) (names []string) {
	t.Helper()
	sources, err := filepath.Glob("../../daemon/*.go")
	if err != nil {
		t.Fatal(err)
	}
	hit := regexp.MustCompile(`failpoint\.Hit\("(deny-[a-z-]+)"\)`)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range hit.FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 4 {
		t.Fatalf("found only %v", names)
	}
	return names
}

// Once a denial began, it is complete after the next start, wherever the daemon
// died; and nobody is taken for an intruder.
func TestKilled(t *testing.T) {
	for _, point := range failpoints(t) {
		for nth := 1; nth <= 2; nth++ {
			t.Run(fmt.Sprintf("%s-%d", point, nth), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.rpm("-i", m.build("hello-1-1.noarch", "/usr/bin/bad=miner", "/usr/bin/good=tool"),
					m.build("twin-1-1.noarch", "/opt/copy=miner", "/opt/mine=twin"), m.build("old-1-1.noarch", "/opt/old=1"),
					m.build("older-1-1.noarch", "/opt/older=1"), m.build("safe-1-1.noarch", "/opt/safe=1"))
				file := filepath.Join(t.TempDir(), "denials.json")
				document := `{"format":"digestd-denials","version":1,"denials":[
{"digests":["sha256:` + sum("miner") + `"],"reason":"content"},
{"package":"old","reason":"package"},{"package":"older","below":"2","reason":"version"}]}`
				if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
					t.Fatal(err)
				}
				counter := m.status().Counter
				m.Stop()
				m.Start(fmt.Sprintf("DIGESTD_FAILPOINT=%s:%d", point, nth))
				m.command("deny", "import", file).Run()
				m.Wait()
				m.Start()
				for range 2 {
					m.lists(hello, "tlv-safe-0:1-1.noarch", twin)
					m.has(hello, "/usr/bin/good")
					m.has(twin, "/opt/mine")
					m.ctl(0, "sync")
				}
				st := m.status()
				if st.Counter < counter {
					t.Errorf("counter fell from %d to %d", counter, st.Counter)
				}
				if st.Lists.Quarantined > 0 {
					t.Errorf("our own lists are in quarantine:\n%s", m.ctl(0, "list", "quarantined"))
				}
				for _, id := range []string{sum("miner"), "old", "older<2"} {
					m.ctl(0, "deny", "lift", id, "--reason", "test")
				}
				m.returns(hello, "tlv-old-0:1-1.noarch", "tlv-older-0:1-1.noarch", "tlv-safe-0:1-1.noarch", twin)
				m.until("all contents are back", func() bool { return len(m.files(hello)) == 2 && len(m.files(twin)) == 2 })
				m.Stop()
			})
		}
	}
}
