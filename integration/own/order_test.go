// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// measurements writes a measurement list of these paths and returns its path.
func (m *machine) measurements(paths ...string) string {
	m.Helper()
	var b strings.Builder
	line := func(path string) {
		fmt.Fprintf(&b, "10 %040x ima-ng sha256:%064x %s\n", 1, 2, path)
	}
	line("boot_aggregate")
	for _, p := range paths {
		line(p)
	}
	file := filepath.Join(m.TempDir(), "ascii_runtime_measurements")
	m.OK(os.WriteFile(file, []byte(b.String()), 0o644))
	return file
}

// measured is a line of a measurement list.
func measured(path, content string) string {
	return fmt.Sprintf("10 %040x ima-ng sha256:%x %s\n", 1, sha256.Sum256([]byte(content)), path)
}

// ordered prepares packages and an own list.
func ordered(t *testing.T) *machine {
	m := start(t)
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "one", "1", map[string]string{"/opt/one": "1"}), m.pkg(key, "two", "1", map[string]string{"/opt/two": "2", "/opt/both": "b"}),
		m.pkg(key, "three", "1", map[string]string{"/opt/three": "3"}))
	m.Write("/srv/x", "x")
	m.Must("own", "add", "tools", m.Path("/srv/x"))
	m.WantLists("tlv-one-0:1-1.noarch", "tlv-two-0:1-1.noarch", "tlv-three-0:1-1.noarch", toolsList)
	return m
}

// bound checks what files are bound to, and that all are vouched for.
func (m *machine) bound(want map[string]string) {
	m.Helper()
	for path, list := range want {
		m.Until(path+" is bound to "+list, func() bool { return m.Label(path) == list })
		m.Vouched(path, true)
	}
}

// Lists get the numbers that digest-cache-tools' add-seqnum gives them: a list's is
// its first place among the measured paths.
func TestOrder(t *testing.T) {
	m := ordered(t)
	log := m.measurements("/usr/bin/init", "/etc/digest_lists/tlv-two-0:1-1.noarch", "/x", "/etc/digest_lists/"+toolsList,
		"/etc/digest_lists/tlv-two-0:1-1.noarch", "/etc/digest_lists/7-tlv-one-0:1-1.noarch", "/etc/digest_lists/tlv-gone-0:1-1.noarch")
	if o := decode[api.Order](m, "order", "from-ima-log", log); o.Numbered != 3 || o.ByFiles {
		t.Errorf("%+v", o)
	}
	numbered := []string{"1-tlv-two-0:1-1.noarch", "3-" + toolsList, "5-tlv-one-0:1-1.noarch", "tlv-three-0:1-1.noarch"}
	m.WantLists(numbered...)
	labels := map[string]string{"/opt/two": numbered[0], "/opt/both": numbered[0], "/srv/x": numbered[1], "/opt/one": numbered[2], "/opt/three": numbered[3]}
	m.bound(labels)

	m.Must("sync")
	m.Stop()
	m.Start()
	m.Must("keys", "rotate", "--reason", "test")
	m.WantLists(numbered...)
	m.bound(labels)
	if out := m.Must("order", "show"); !strings.Contains(out, "prefetch") || strings.Index(out, "tlv-two") > strings.Index(out, "tlv-one") {
		t.Errorf("order show:\n%s", out)
	}

	// A new version keeps the number, a reinstall too; an own list as well.
	key := m.vendor()
	m.RPM("-U", m.pkg(key, "two", "2", map[string]string{"/opt/two": "22"}))
	m.Write("/srv/x", "xx")
	m.Must("own", "update", "tools")
	numbered[0] = "1-tlv-two-0:2-1.noarch"
	m.WantLists(numbered...)
	m.bound(map[string]string{"/opt/two": numbered[0], "/srv/x": numbered[1]})
	old := m.pkg(key, "two", "1", map[string]string{"/opt/two": "2"})
	if err := m.Root.Run("-U", "--oldpackage", old); err == nil {
		t.Error("an old version came back under a number")
	}

	m.Must("order", "clear", "--reason", "test")
	m.WantLists("tlv-two-0:2-1.noarch", toolsList, "tlv-one-0:1-1.noarch", "tlv-three-0:1-1.noarch")
	m.bound(map[string]string{"/opt/two": "tlv-two-0:2-1.noarch", "/srv/x": toolsList, "/opt/one": "tlv-one-0:1-1.noarch"})
	m.wholesome("tools.2")
}

// On a kernel that reads no lists, the first use of a list's files counts.
func TestOrderByFiles(t *testing.T) {
	m := ordered(t)
	log := m.measurements(m.Path("/opt/three"), m.Path("/nothing"), m.Path("/srv/x"), m.Path("/opt/one"), m.Path("/opt/three"))
	if o := decode[api.Order](m, "order", "from-ima-log", log); o.Numbered != 3 || !o.ByFiles {
		t.Errorf("%+v", o)
	}
	m.WantLists("0-tlv-three-0:1-1.noarch", "2-"+toolsList, "3-tlv-one-0:1-1.noarch", "tlv-two-0:1-1.noarch")
	m.Fails(3, "none of these measurements", "order", "from-ima-log", m.measurements("/nothing"))
	m.Fails(1, "line 1", "order", "from-ima-log", m.Write("/tmp/bad", "10 short\n"))
}

// The attribute of the directory is kept.
func TestPrefetch(t *testing.T) {
	m := start(t)
	value := func() string {
		buf := make([]byte, 16)
		n, err := unix.Getxattr(m.Lists(), "security.dig_prefetch", buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	m.Must("order", "prefetch", "on")
	if value() != "1" {
		t.Errorf("it is %q", value())
	}
	m.OK(unix.Removexattr(m.Lists(), "security.dig_prefetch"))
	m.Must("sync")
	if value() != "1" {
		t.Errorf("after a sync it is %q", value())
	}
	if doc := decode[api.Order](m, "order", "show"); !doc.Prefetch {
		t.Errorf("%+v", doc)
	}
	m.Must("order", "prefetch", "off")
	m.Must("sync")
	if value() != "" {
		t.Errorf("switched off, it is %q", value())
	}
	m.Fails(2, "on or off", "order", "prefetch", "maybe")
}

// Wherever the daemon dies while lists get their numbers, a start afterwards
// completes it, and no file is without its list.
func TestKilledWhileOrdering(t *testing.T) {
	order := func(m *machine) {
		m.Ctl("order", "from-ima-log", m.measurements("/l/"+toolsList, "/l/tlv-two-0:1-1.noarch", "/l/tlv-one-0:1-1.noarch"))
	}
	pkgtest.Crashes[*machine]{
		Passes: pkgtest.Passes{
			"order": pkgtest.AllEffects("order"), "moved": pkgtest.AllEffects("moved"),
			"sync": {failpoint.Intent, failpoint.Publish, failpoint.Sync, failpoint.Commit},
		},
		Prepare: ordered,
		Do: func(m *machine) {
			order(m)
			m.Ctl("sync")
		},
		Dead: func(m *machine, _ pkgtest.Death) {
			for _, path := range []string{"/opt/one", "/opt/two", "/srv/x"} {
				if _, err := os.Stat(filepath.Join(m.Lists(), m.Label(path))); err != nil {
					m.Errorf("%s is bound to a list that is not there: %v", path, err)
				}
			}
		},
		After: func(m *machine, died pkgtest.Death) {
			if died.At("order", failpoint.BeforeIntent) {
				m.WantLists(toolsList, "tlv-one-0:1-1.noarch", "tlv-three-0:1-1.noarch", "tlv-two-0:1-1.noarch")
				order(m) // nothing has happened
			}
			m.WantLists("0-"+toolsList, "1-tlv-two-0:1-1.noarch", "2-tlv-one-0:1-1.noarch", "tlv-three-0:1-1.noarch")
			m.bound(map[string]string{"/srv/x": "0-" + toolsList, "/opt/two": "1-tlv-two-0:1-1.noarch", "/opt/both": "1-tlv-two-0:1-1.noarch", "/opt/one": "2-tlv-one-0:1-1.noarch", "/opt/three": "tlv-three-0:1-1.noarch"})
			m.wholesome("tools.1")
		},
	}.Try(t)
}

// Packages with several versions side by side are numbered one by one, and none is
// taken for an old version that comes back.
func TestOrderOfVersionsSideBySide(t *testing.T) {
	m := start(t)
	key := m.vendor()
	for _, v := range []string{"1", "2"} {
		if err := m.Root.Run("-i", m.pkg(key, "kernel", v, map[string]string{"/boot/vmlinuz-" + v: v})); err != nil {
			t.Fatal(err)
		}
	}
	m.WantLists("tlv-kernel-0:1-1.noarch", "tlv-kernel-0:2-1.noarch")
	m.Must("order", "from-ima-log", m.measurements("/l/tlv-kernel-0:2-1.noarch", "/l/tlv-kernel-0:1-1.noarch"))
	m.WantLists("0-tlv-kernel-0:2-1.noarch", "1-tlv-kernel-0:1-1.noarch")
	m.bound(map[string]string{"/boot/vmlinuz-1": "1-tlv-kernel-0:1-1.noarch", "/boot/vmlinuz-2": "0-tlv-kernel-0:2-1.noarch"})
	m.OK(m.Root.Run("-i", m.pkg(key, "kernel", "3", map[string]string{"/boot/vmlinuz-3": "3"})))
	m.WantLists("0-tlv-kernel-0:2-1.noarch", "1-tlv-kernel-0:1-1.noarch", "tlv-kernel-0:3-1.noarch")
	m.OK(m.Root.Run("-e", "kernel-3-1"))
	m.Must("order", "clear")
	m.WantLists("tlv-kernel-0:1-1.noarch", "tlv-kernel-0:2-1.noarch")
	m.Must("sync")
	m.WantLists("tlv-kernel-0:1-1.noarch", "tlv-kernel-0:2-1.noarch")
	m.bound(map[string]string{"/boot/vmlinuz-1": "tlv-kernel-0:1-1.noarch", "/boot/vmlinuz-2": "tlv-kernel-0:2-1.noarch"})
	if s := m.Status(); s.State != api.Healthy || s.Lists.Active != 2 {
		t.Errorf("%+v", s)
	}
}
