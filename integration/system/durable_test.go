// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// unsuspected checks that digestd accuses nobody: what it did itself is no tampering.
func (m *machine) unsuspected() {
	m.Helper()
	if aside, err := os.ReadDir(m.Lists() + ".quarantine"); err != nil || len(aside) > 0 {
		m.Errorf("quarantine has %v, %v", aside, err)
	}
	if out, err := m.Digestctl("status").CombinedOutput(); err != nil {
		m.Errorf("status: %v\n%s", err, out)
	}
	if out := m.Must("log"); strings.Contains(out, "tampered") {
		m.Errorf("the log tells of tampering:\n%s", out)
	}
}

// TestKilledWhileSigningAnew: lists that took the place of their predecessors before
// that was recorded are digestd's own, wherever it died, and whatever of them is left.
func TestKilledWhileSigningAnew(t *testing.T) {
	pkgtest.Crashes[signedAnew]{
		Passes: pkgtest.Passes{"sync": {failpoint.Intent, failpoint.Publish, failpoint.Sync, failpoint.Commit}},
		Prepare: func(t *testing.T) signedAnew {
			m := signedAnew{newChanging(t), map[string]string{}}
			for _, list := range m.Names() {
				m.lists[list] = string(read(t, m.list(list)))
			}
			return m
		},
		Do: func(m signedAnew) { m.Digestctl("keys", "rotate", "--reason", "test").Run() },
		Dead: func(m signedAnew, at pkgtest.Death) {
			if at.At("sync", failpoint.BeforeCommit) || at.At("sync", failpoint.AfterCommit) {
				return
			}
			// Nor are they if the power fails: what is new was not synced yet.
			for _, list := range m.Names() {
				data, err := os.ReadFile(m.list(list))
				m.OK(err)
				if string(data) != m.lists[list] {
					m.OK(os.WriteFile(m.list(list), nil, 0o600))
				}
			}
		},
		After: func(m signedAnew, _ pkgtest.Death) {
			m.converged(m.before)
			m.unsuspected()
		},
	}.Try(t)
}

// signedAnew has what the lists were before they are signed anew.
type signedAnew struct {
	changing
	lists map[string]string
}

// TestPowerCutInTransaction: of a list that was renamed into place and not synced a
// file system may leave nothing, a part or zeros. That is no tampering either.
func TestPowerCutInTransaction(t *testing.T) {
	for name, leave := range map[string]func(data []byte) []byte{
		"nothing": func([]byte) []byte { return nil },
		"a part":  func(data []byte) []byte { return data[:len(data)/2] },
		"zeros":   func(data []byte) []byte { return make([]byte, len(data)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, upgrade := history(t)
			counter := m.counter()
			m.Stop()
			m.Start("DIGESTD_FAILPOINT=add-after-publish:2")
			rpm := m.RPMCommand(upgrade...)
			if err := rpm.Start(); err != nil {
				t.Fatal(err)
			}
			m.Wait()
			rpm.Process.Kill()
			rpm.Wait()
			torn := 0
			for _, list := range []string{"tlv-up-0:2-1.noarch", "tlv-new-0:1-1.noarch"} {
				path := m.list(list)
				if data, err := os.ReadFile(path); err == nil {
					write(t, path, leave(data))
					torn++
				}
			}
			if torn == 0 {
				t.Fatal("no list was published")
			}
			m.Start()
			m.converged(counter)
			m.unsuspected()
		})
	}
}

// TestListThatWasNotSynced: rpm is told when a list may not be on the disk, and the
// next comparison writes it anew: to sync again would write nothing.
func TestListThatWasNotSynced(t *testing.T) {
	m := start(t)
	list := m.list("tlv-hello-0:1-1.noarch")
	file := m.build("hello-1-1.noarch")
	strace := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-P", list, "-e", "trace=fdatasync",
		"-e", "inject=fdatasync:error=EIO", "-p", fmt.Sprint(m.PID()))
	m.OK(strace.Start())
	defer strace.Wait()
	defer strace.Process.Kill()
	traced := func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
		return err == nil && !strings.Contains(string(status), "TracerPid:\t0\n")
	}
	if !pkgtest.Await(traced) {
		t.Fatal("strace does not attach")
	}
	out, err := m.RPMCommand("-U", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cannot sync") {
		t.Fatalf("rpm was told (%v):\n%s", err, out)
	}
	if !pkgtest.Await(func() bool { return m.Digestctl("status").Run() != nil }) {
		t.Error("status has no problem to tell")
	}
	inode := func() uint64 {
		var st unix.Stat_t
		if err := unix.Lstat(list, &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	m.WantLists(filepath.Base(list)) // vouched for all the same
	strace.Process.Signal(syscall.SIGTERM)
	strace.Wait()
	before := inode()
	m.Must("sync")
	if inode() == before {
		t.Error("the list was not written anew")
	}
	m.unsuspected()
	before = inode()
	m.Must("sync")
	if inode() != before {
		t.Error("a list that was synced is written anew")
	}
}

// TestActOnFullDisk: a grant that could not be recorded lets nothing in, now or later;
// with space again the index is written by itself, and the grant can be given.
func TestActOnFullDisk(t *testing.T) {
	m := newMachine(t)
	disk := smallDisk(t, "2048")
	m.StateDir = filepath.Join(disk, "state")
	m.importKey("vendor")
	m.Start()
	m.RPM("-U", m.build("hello-1-1.noarch"))
	m.RPM("-U", m.build("hello-2-1.noarch"))
	refused := func(when string) {
		t.Helper()
		if out, err := m.RPMCommand("-U", "--oldpackage", "hello-1-1.noarch.rpm").CombinedOutput(); err == nil {
			t.Fatalf("%s, the old version is in:\n%s", when, out)
		}
	}
	grant := func() error {
		return m.Digestctl("rollback", "grant", "hello-1-1.noarch", "--reason", "test").Run()
	}
	refused("before any grant")
	free := fill(t, disk)
	if grant() == nil {
		t.Fatal("granted without a record")
	}
	refused("after a grant that failed")
	free()
	if !pkgtest.Await(func() bool { return m.Digestctl("status").Run() == nil }) {
		t.Errorf("with space again:\n%s", m.Must("status"))
	}
	refused("with space again")
	m.Stop()
	m.Start()
	refused("after a restart")
	if err := grant(); err != nil {
		t.Error(err)
	}
	m.RPM("-U", "--oldpackage", "hello-1-1.noarch.rpm")
	m.WantLists("tlv-hello-0:1-1.noarch")
}

// TestFailedBuildGivesTheListBack: where an unsigned build of an installed version
// cannot be unpacked, the list of the one that stays is back before rpm has ended.
func TestFailedBuildGivesTheListBack(t *testing.T) {
	for _, key := range []string{"key=", "key=vendor"} {
		t.Run(key, func(t *testing.T) {
			m := start(t)
			m.RPM("-U", m.build("hello-1-1.noarch", "/usr/bin/hello=first"))
			const name = "tlv-hello-0:1-1.noarch"
			before := read(t, m.list(name))
			// A file cannot replace a directory in its way.
			if err := os.MkdirAll(m.In("root", "opt", "in-the-way", "full"), 0o755); err != nil {
				t.Fatal(err)
			}
			other := m.build("hello-1-1.noarch", key, "/usr/bin/hello=second", "/opt/in-the-way=file")
			out, err := m.RPMCommand("-U", "--replacepkgs", other).CombinedOutput()
			if err == nil {
				t.Fatalf("it was unpacked:\n%s", out)
			}
			if now := read(t, m.list(name)); string(now) != string(before) {
				t.Error("another list has its name")
			}
			m.Must("why", m.In("root", "usr", "bin", "hello"))
			m.Must("sync")
			m.WantLists(name)
			m.unsuspected()
		})
	}
}
