// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
)

// ext4 makes a small file system on a disk and returns its path: it gives freed space back
// later than one in memory.
func ext4(t *testing.T) string {
	t.Helper()
	dir, disk := t.TempDir(), filepath.Join(t.TempDir(), "disk")
	for _, c := range [][]string{
		{"truncate", "-s", "8M", disk},
		{"mkfs.ext4", "-q", "-m", "0", "-b", "1024", disk},
		{"mount", "-o", "loop", disk, dir},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}

// mount changes how a directory is mounted.
func mount(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Fatalf("mount %v: %v\n%s", args, err, out)
	}
}

// onlyProblem wants status to have one problem, which says that.
func (m *machine) onlyProblem(id string, words ...string) {
	m.Helper()
	m.AwaitProblem(id, words...)
	if problems := m.Status().Problems; len(problems) != 1 {
		m.Errorf("more than one problem: %+v", problems)
	}
}

// lacks wants a list to be gone, now.
func (m *machine) lacks(list string) {
	m.Helper()
	if slices.Contains(m.Names(), list) {
		m.Errorf("%s is still there", list)
	}
}

// afterRest waits until status has no problem.
func (m *machine) afterRest() {
	m.Helper()
	m.Until("status without a problem", func() bool { return m.Digestctl("status").Run() == nil })
}

// TestTrustEndsOnFullDisk: lists of a revoked key, and of what is denied, leave although
// nothing else can be recorded. rpm works, one problem says what is full, and with space
// again everything is brought up to date.
func TestTrustEndsOnFullDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	disk := ext4(t)
	m.StateDir = filepath.Join(disk, "state")
	var keys []string
	for _, name := range []string{"vendor", "other", "third", "fourth"} {
		m.importKey(name)
		s, err := signerOf(name)
		m.OK(err)
		keys = append(keys, s.fingerprint())
	}
	m.Start()
	m.RPM("-U", m.build("vv-1-1.noarch"), m.build("gone-1-1.noarch"), m.build("oo-1-1.noarch", "key=other"), m.build("tt-1-1.noarch", "key=third"), m.build("ff-1-1.noarch", "key=fourth"))
	m.RPM("-U", m.build("vv-2-1.noarch"))
	m.build("vv-3-1.noarch")
	m.build("new-1-1.noarch")
	free := fill(t, disk)
	for _, step := range [][]string{{"-U", "new-1-1.noarch.rpm"}, {"-U", "vv-3-1.noarch.rpm"}, {"-e", "gone"}} {
		m.Says(m.RPM(step...), "digestd: ", "no space left")
	}
	m.lacks("tlv-gone-0:1-1.noarch")
	m.Fails(1, "free space on that file system", "rollback", "grant", "vv-1-1.noarch", "--reason", "test")
	m.onlyProblem("index", "no space left")
	if p, _ := m.Problem("index"); !strings.Contains(p.Advice, "free space") {
		m.Errorf("the advice is %q", p.Advice)
	}

	m.Must("keys", "revoke", keys[1], "--reason", "test")
	m.lacks("tlv-oo-0:1-1.noarch")
	m.Must("deny", "tt.noarch", "--reason", "test")
	m.lacks("tlv-tt-0:1-1.noarch")
	m.Kill()
	m.Start()
	m.onlyProblem("index", "no space left")
	m.lacks("tlv-oo-0:1-1.noarch")
	m.lacks("tlv-tt-0:1-1.noarch")
	// A key that rpm does not trust any more, which the comparison notices.
	out := m.RPM("-qa", "--qf", "%{name}-%{version}-%{release} %{summary}\n", "gpg-pubkey")
	for line := range strings.Lines(out) {
		if name, summary, _ := strings.Cut(line, " "); strings.Contains(summary, "fourth") {
			m.RPM("-e", "--allmatches", name)
		}
	}
	m.Until("the list of a dropped key to go", func() bool { return !slices.Contains(m.Names(), "tlv-ff-0:1-1.noarch") })

	free()
	m.afterRest()
	m.WantLists("tlv-new-0:1-1.noarch", "tlv-vv-0:3-1.noarch")
	m.Wholesome()
	m.RPMFails([]string{"older than 3-1"}, "-U", "--oldpackage", "vv-1-1.noarch.rpm")
	m.Stop()
	m.Start()
	m.WantLists("tlv-new-0:1-1.noarch", "tlv-vv-0:3-1.noarch")
	if info, err := os.Stat(filepath.Join(m.State(), "index.reserve")); err != nil || info.Size() != 512<<10 {
		t.Errorf("the space in reserve: %v, %v", info, err)
	}
}

// TestListsOnFullDisk: an answer does not say more than was done, and lists that could not be
// made come once there is space.
func TestListsOnFullDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	disk := smallDisk(t, "1024")
	m.ListDir = filepath.Join(disk, "lists")
	m.importKey("vendor")
	m.Start()
	m.RPM("-U", m.build("aa-1-1.noarch"), m.build("bb-1-1.noarch"))
	former := m.Certificate()
	check := func(says string) {
		t.Helper()
		m.Says(m.Exits(3, "keys", "rotate", "--reason", "test"), "2 lists by the former key could not be replaced yet")
		m.onlyProblem("packages", "2 packages could not be vouched for", says)
	}
	free := fill(t, disk)
	check("no space left")
	m.WantLists("tlv-aa-0:1-1.noarch", "tlv-bb-0:1-1.noarch")
	m.Wholesome(former)
	free()
	m.afterRest()
	m.Wholesome()

	mount(t, "-o", "remount,ro", disk)
	check("read-only file system")
	if p, _ := m.Problem("packages"); !strings.Contains(p.Advice, "remount,rw") {
		t.Errorf("the advice is %q", p.Advice)
	}
	m.RPM("-e", "aa")
	m.AwaitProblem("leftover", "tlv-aa-0:1-1.noarch", "read-only file system")
	if p, _ := m.Problem("leftover"); !strings.Contains(p.Advice, "remount,rw") {
		t.Errorf("the advice is %q", p.Advice)
	}
	mount(t, "-o", "remount,rw", disk)
	m.afterRest()
	m.WantLists("tlv-bb-0:1-1.noarch")
	m.Wholesome()
}

// TestStateReadOnly: nothing is decided, and what was decided before stays in force, until
// the disk can be written again.
func TestStateReadOnly(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.importKey("vendor")
	m.Start()
	m.RPM("-U", m.build("aa-1-1.noarch"))
	state := m.State()
	mount(t, "--bind", state, state)
	t.Cleanup(func() { exec.Command("umount", "-l", state).Run() })
	mount(t, "-o", "remount,bind,ro", state)
	vendor, err := signerOf("vendor")
	m.OK(err)
	m.Fails(1, "remount,rw", "keys", "revoke", vendor.fingerprint(), "--reason", "test")
	m.Says(m.RPM("-U", m.build("bb-1-1.noarch")), "digestd: ", "read-only file system")
	m.WantLists("tlv-aa-0:1-1.noarch")
	m.onlyProblem("index", "read-only file system")
	m.Kill()
	m.Spawn()
	m.Until("a status that says why digestd waits", func() bool {
		var s api.Status
		out, _, _ := m.Ctl("status")
		return m.JSON(&s, "status") == 3 && s.Waiting && strings.Contains(out, "read-only file system") && strings.Contains(out, "remount,rw")
	})
	m.RPM("-U", m.build("cc-1-1.noarch")) // on-unreachable is what it is by default
	mount(t, "-o", "remount,bind,rw", state)
	m.afterRest()
	m.WantLists("tlv-aa-0:1-1.noarch", "tlv-bb-0:1-1.noarch", "tlv-cc-0:1-1.noarch")
}

// TestFirstStartOnFullDisk: digestd says why it does not work, and begins to once it can.
func TestFirstStartOnFullDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	disk := smallDisk(t, "1024")
	m.StateDir = filepath.Join(disk, "state")
	m.importKey("vendor")
	free := fill(t, disk)
	m.Spawn()
	m.Until("a status that says what is full", func() bool {
		out, _, code := m.Ctl("status")
		return code == 3 && strings.Contains(out, "no space left") && strings.Contains(out, "free space")
	})
	m.RPM("-U", m.build("aa-1-1.noarch"))
	free()
	m.afterRest()
	m.WantLists("tlv-aa-0:1-1.noarch")
}
