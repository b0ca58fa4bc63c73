// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/integration/pkgtest"
	"golang.org/x/sys/unix"
)

// withHistory returns a machine at rest on which version 2 of a package was
// active and the owner set a floor, with the daemon stopped.
func withHistory(t *testing.T) *machine {
	t.Helper()
	m, _ := history(t)
	m.RPM("-U", m.build("up-2-1.noarch", "/opt/up=2"))
	m.RPM("-e", "up")
	m.Must("floor", "set", "same.noarch", "0.5-1", "--reason", "test")
	m.Stop()
	return m
}

// nothingForgotten checks that the index is the one that withHistory left.
func (m *machine) nothingForgotten() {
	m.Helper()
	if !pkgtest.Await(func() bool { return m.Digestctl("status").Run() == nil }) {
		out, _ := m.Digestctl("status").CombinedOutput()
		m.Fatalf("digestd is not well again:\n%s", out)
	}
	if asides, _ := filepath.Glob(filepath.Join(m.State(), "*aside*")); len(asides) > 0 {
		m.Errorf("a sound index was put aside: %v", asides)
	}
	if out := m.Must("floor", "list"); !strings.Contains(out, "0.5-1") {
		m.Errorf("the floor is forgotten:\n%s", out)
	}
	if out, err := m.RPMCommand("-U", "up-1-1.noarch.rpm").CombinedOutput(); err == nil || !strings.Contains(string(out), "older than 2-1") {
		m.Errorf("a version that was superseded came back (%v):\n%s", err, out)
	}
	m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch")
}

// waitsForIndex checks what holds while digestd cannot open its index.
func (m *machine) waitsForIndex() {
	m.Helper()
	if st := m.Status(); !st.Waiting || len(st.Problems) != 1 || st.Problems[0].ID != "standby" {
		m.Errorf("status is %+v", st)
	}
	if out, err := m.Digestctl("status").CombinedOutput(); err == nil || !strings.Contains(string(out), "stay as they are") || strings.Contains(string(out), "rpmkeys") {
		m.Errorf("status (%v):\n%s", err, out)
	}
	if out, err := m.Digestctl("list").CombinedOutput(); err == nil || !strings.Contains(string(out), "cannot be opened now") {
		m.Errorf("list (%v):\n%s", err, out)
	}
	m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch")
}

// An index that another program has locked is waited for: the boot is not, lists
// stay, package managers do what on-unreachable says, nothing is forgotten.
func TestIndexLockedAtStart(t *testing.T) {
	m := withHistory(t)
	f, err := os.Open(filepath.Join(m.State(), "index.db"))
	m.OK(err)
	defer f.Close()
	m.OK(unix.Flock(int(f.Fd()), unix.LOCK_SH))
	m.Start() // ready, whatever it finds
	m.waitsForIndex()

	pkg := m.build("meanwhile-1-1.noarch")
	m.Root.Macros = append(m.Root.Macros, "_digestd_on_unreachable refuse")
	if out, err := m.RPMCommand("-U", pkg).CombinedOutput(); err == nil || !strings.Contains(string(out), "cannot be opened now") {
		t.Errorf("rpm that must not go on without digestd (%v):\n%s", err, out)
	}
	m.Root.Macros = append(m.Root.Macros, "_digestd_on_unreachable proceed")
	out, err := m.RPMCommand("-U", pkg).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cannot be opened now") {
		t.Errorf("rpm that may go on without digestd (%v):\n%s", err, out)
	}
	m.RPM("-e", "meanwhile")
	m.waitsForIndex()
	m.OK(unix.Flock(int(f.Fd()), unix.LOCK_UN))
	m.nothingForgotten()
}

// A lock that is gone soon is none that a package manager notices.
func TestIndexLockedForAMoment(t *testing.T) {
	m := withHistory(t)
	f, err := os.Open(filepath.Join(m.State(), "index.db"))
	m.OK(err)
	defer f.Close()
	m.OK(unix.Flock(int(f.Fd()), unix.LOCK_SH))
	m.Start()
	fd := int(f.Fd())
	time.AfterFunc(time.Second, func() { unix.Flock(fd, unix.LOCK_UN) })
	out, err := m.RPMCommand("-U", m.build("soon-1-1.noarch")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "digestd:") {
		t.Errorf("rpm (%v):\n%s", err, out)
	}
	m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch", "tlv-soon-0:1-1.noarch")
	m.RPM("-e", "soon")
	m.nothingForgotten()
}

// An index that the disk does not give is not a damaged one. A file of the kernel
// that answers every read with EIO lies over it.
func TestIndexNotReadable(t *testing.T) {
	m := withHistory(t)
	index := filepath.Join(m.State(), "index.db")
	if out, err := exec.Command("mount", "--bind", fmt.Sprintf("/proc/%d/mem", os.Getpid()), index).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount over the index: %v\n%s", err, out)
	}
	release := func() { exec.Command("umount", "-l", index).Run() }
	t.Cleanup(release)
	m.Start()
	m.waitsForIndex()
	if !strings.Contains(m.Log(), "input/output error") {
		t.Error("the log does not name the cause")
	}
	release()
	m.nothingForgotten()
}

// While it waits for its index, digestd ends when it is told to.
func TestStandbyEnds(t *testing.T) {
	m := withHistory(t)
	f, err := os.Open(filepath.Join(m.State(), "index.db"))
	m.OK(err)
	defer f.Close()
	m.OK(unix.Flock(int(f.Fd()), unix.LOCK_SH))
	m.Start()
	m.Stop()
	unix.Flock(int(f.Fd()), unix.LOCK_UN)
	m.Start()
	m.nothingForgotten()
}
