// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/integration/tokentest"
)

// anchored is a machine with a TPM, and a disk that can lose power.
type anchored struct {
	*machine
	tpm  *tokentest.TPM
	disk *disk
}

// newAnchored has a package in its second version; the anchor is not enabled yet.
func newAnchored(t *testing.T) anchored {
	d := newDisk(t)
	m := anchored{newMachine(t), nil, d}
	m.tpm = tokentest.NewTPM(t, m.In("tpm"))
	m.StateDir = filepath.Join(d.at, "state")
	m.Config = []string{fmt.Sprintf("anchor = %q\nanchor-secret = %q\n", m.tpm.Where(), filepath.Join(d.at, "anchor.secret"))}
	m.importKey("vendor")
	m.Start()
	m.RPM("-U", m.build("up-2-1.noarch"))
	return m
}

// disk is a file system in a file: what was not synced is in the memory of the kernel alone.
type disk struct{ image, at string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{filepath.Join(dir, "image"), filepath.Join(dir, "disk")}
	for _, args := range [][]string{{"truncate", "-s", "24M", d.image}, {"mkfs.ext4", "-q", "-F", d.image}, {"mkdir", d.at}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	d.mount(t)
	t.Cleanup(func() { d.unmount(t) })
	return d
}

func (d *disk) mount(t testing.TB) {
	t.Helper()
	// Nothing becomes durable by itself while a test runs.
	if out, err := exec.Command("mount", "-o", "loop,commit=900", d.image, d.at).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount: %v\n%s", err, out)
	}
}

func (d *disk) unmount(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("umount", d.at).CombinedOutput(); err != nil {
		t.Errorf("cannot unmount: %v\n%s", err, out)
	}
}

// cut is the loss of power: what had reached the file comes back.
func (d *disk) cut(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("cp", "--sparse=always", d.image, d.image+".cut").CombinedOutput(); err != nil {
		t.Fatalf("cannot copy: %v\n%s", err, out)
	}
	d.unmount(t)
	d.image += ".cut"
	d.mount(t)
}

// anchor is how the index stands to the counter.
func (m anchored) anchor() (a api.Anchor) {
	m.Helper()
	out, _ := m.Digestctl("anchor", "status", "--json").Output()
	m.OK(json.Unmarshal(out, &a))
	return a
}

// stands waits until the anchor has a standing.
func (m anchored) stands(want string) {
	m.Helper()
	var a api.Anchor
	for range 100 {
		if a = m.anchor(); a.Standing == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.Errorf("the anchor is %+v, want %s", a, want)
}

// ends are the ways in which digestd ends early: by itself, or with the whole machine, whose
// TPM keeps what it has done.
var ends = map[string]func(m anchored, _ pkgtest.Death){
	"killed": nil,
	"power cut": func(m anchored, _ pkgtest.Death) {
		m.tpm.Stop()
		m.disk.cut(m.TB)
		m.tpm.Start()
	},
}

// TestKilledWhileBinding: wherever digestd dies or the power fails while the anchor is enabled or
// disabled, no start takes that for an older state, and both can be done again.
func TestKilledWhileBinding(t *testing.T) {
	enable := func(m anchored) error { return m.Digestctl("anchor", "enable").Run() }
	disable := func(m anchored) error { return m.Digestctl("anchor", "disable", "--reason", "test").Run() }
	eachEnd(t, pkgtest.Crashes[anchored]{
		Passes:  pkgtest.Passes{"bind": {failpoint.Intent}},
		Prepare: newAnchored,
		Do: func(m anchored) {
			if enable(m) == nil {
				disable(m)
			}
		},
		After: func(m anchored, died pkgtest.Death) {
			if a := m.anchor(); a.Standing == api.AnchorOlder {
				m.Errorf("killed at %s, and it counts as an older state: %+v", died.Instant, a)
			}
			if a := m.anchor(); a.Bound {
				m.OK(disable(m))
			}
			m.stands(api.AnchorNone)
			m.OK(enable(m))
			m.stands(api.AnchorDone)
			m.WantLists("tlv-up-0:2-1.noarch")
		},
	})
}

// eachEnd tries crashes in each of the ways.
func eachEnd(t *testing.T, c pkgtest.Crashes[anchored]) {
	for how, dead := range ends {
		t.Run(how, func(t *testing.T) {
			c := c
			c.Dead = dead
			c.Try(t)
		})
	}
}

// TestKilledWhileAnchoring: wherever digestd dies or the power fails while a denial is anchored,
// the next start completes it.
func TestKilledWhileAnchoring(t *testing.T) {
	eachEnd(t, pkgtest.Crashes[anchored]{
		Passes: pkgtest.Passes{"epoch": {failpoint.Intent}},
		Prepare: func(t *testing.T) anchored {
			m := newAnchored(t)
			m.Must("anchor", "enable")
			m.stands(api.AnchorDone)
			return m
		},
		Do: func(m anchored) { m.Digestctl("deny", "other<1", "--reason", "test").Run() },
		After: func(m anchored, died pkgtest.Death) {
			m.stands(api.AnchorDone)
			if a := m.anchor(); a.Epoch != a.Value || a.Due {
				m.Errorf("killed at %s: %+v", died.Instant, a)
			}
			if !strings.Contains(m.Must("deny", "list"), "other") {
				m.Errorf("killed at %s, and the denial is lost", died.Instant)
			}
		},
	})
}

// TestOlderStateDirectory: a state directory from before is noticed; rpm installs what is newer, and is
// told how to go on where it installs what is older than what is there. A verifier notices the rest.
func TestOlderStateDirectory(t *testing.T) {
	m := newAnchored(t)
	m.Must("anchor", "enable")
	copied := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("sh", "-c", `rm -rf "$2" && cp -a "$1" "$2"`, "sh", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	m.Must("rollback", "grant", "up-1-1.noarch", "--reason", "test")
	m.Stop()
	copied(m.State(), m.In("old"))
	m.Start()
	m.RPM("-U", m.build("up-3-1.noarch"))
	m.Must("deny", "other<1", "--reason", "test")
	m.stands(api.AnchorDone)

	m.Stop()
	copied(m.In("old"), m.State())
	m.Start()
	m.stands(api.AnchorOlder)
	m.Must("sync")
	m.WantLists("tlv-up-0:3-1.noarch")
	for _, old := range []string{"up-1-1.noarch", "up-2-1.noarch"} {
		out, err := m.RPMCommand("-U", "--oldpackage", m.build(old)).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "digestctl anchor accept --reason") {
			t.Errorf("rpm installs %s: %v\n%s", old, err, out)
		}
	}
	m.RPM("-U", m.build("up-4-1.noarch"), m.build("new-1-1.noarch"))
	m.WantLists("tlv-new-0:1-1.noarch", "tlv-up-0:4-1.noarch")
	m.Must("anchor", "accept", "--reason", "test")
	m.stands(api.AnchorDone)
	if out, err := m.RPMCommand("-U", "--oldpackage", m.build("up-1-1.noarch")).CombinedOutput(); err == nil {
		t.Errorf("rpm installs what was granted before:\n%s", out)
	}
}
