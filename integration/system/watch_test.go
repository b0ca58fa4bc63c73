// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"strings"
	"testing"
)

// withoutInotify gives the daemon a user namespace with few inotify instances and
// watches, in which it is still root.
func (m *machine) withoutInotify(instances, watches string) {
	m.Wrap = []string{"unshare", "-Ur", "sh", "-ec",
		"echo " + instances + " >/proc/sys/user/max_inotify_instances; echo " + watches + ` >/proc/sys/user/max_inotify_watches; exec "$@"`, "sh"}
}

// Other programs may have taken all that the kernel has of inotify: then digestd
// looks by itself, and says so.
func TestWithoutInotify(t *testing.T) {
	for name, limits := range map[string][2]string{"no instance": {"0", "100"}, "no watch": {"10", "0"}, "few watches": {"10", "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.importKey("vendor")
			m.withoutInotify(limits[0], limits[1])
			m.Start()
			if text := m.AwaitProblem("watch"); !strings.Contains(text, "inotify") {
				t.Errorf("the problem is %q", text)
			}
			m.RPM("-U", m.build("told-1-1.noarch"))
			m.WantLists("tlv-told-0:1-1.noarch")
			// A change that nobody reports is found: in rpm's database, and in the list
			// directory.
			m.RPM("-U", "--noplugins", m.build("untold-1-1.noarch"))
			m.WantLists("tlv-told-0:1-1.noarch", "tlv-untold-0:1-1.noarch")
			write(t, m.list("tlv-alien-0:1-1.noarch"), []byte("x"))
			m.WantLists("tlv-told-0:1-1.noarch", "tlv-untold-0:1-1.noarch")
			if err := os.Remove(m.list("tlv-told-0:1-1.noarch")); err != nil {
				t.Fatal(err)
			}
			m.WantLists("tlv-told-0:1-1.noarch", "tlv-untold-0:1-1.noarch")
		})
	}
}
