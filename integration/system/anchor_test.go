// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/integration/tokentest"
	"github.com/digestd/digestd/kernel/tpm"
	"github.com/digestd/digestd/kernel/tpm/tpmtest"
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
	m.Config = []string{fmt.Sprintf("anchor = %q\nanchor-secret = %q\n", m.tpm.Where(), m.secret())}
	m.importKey("vendor")
	m.Start()
	m.RPM("-U", m.build("up-2-1.noarch"))
	return m
}

// secret is the file with the counter's.
func (m anchored) secret() string { return filepath.Join(m.disk.at, "anchor.secret") }

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

// old copies the machine, and returns what brings the copy back: of its state directory, of its
// whole disk, or of that and of its TPM.
func (m anchored) old(what string) (restore func()) {
	m.Helper()
	paths := map[string][]string{
		"state directory":    {m.State()},
		"whole disk":         {m.State(), m.secret(), m.Lists(), m.Root.Dir},
		"whole disk and TPM": {m.State(), m.secret(), m.Lists(), m.Root.Dir, m.In("tpm")},
	}[what]
	copied := func(from, to string) {
		m.Helper()
		if out, err := exec.Command("sh", "-c", `rm -rf "$2" && cp -a "$1" "$2"`, "sh", from, to).CombinedOutput(); err != nil {
			m.Fatalf("%v\n%s", err, out)
		}
	}
	off := func(fn func()) {
		m.Stop()
		m.tpm.Stop()
		fn()
		m.tpm.Start()
		m.Start()
	}
	kept := func(i int) string { return m.In(fmt.Sprintf("old%d", i)) }
	off(func() {
		for i, p := range paths {
			copied(p, kept(i))
		}
	})
	return func() {
		off(func() {
			for i, p := range paths {
				copied(kept(i), p)
			}
		})
	}
}

// verify has a verifier verify a quote, and returns the exit code.
func (m anchored) verify(args ...string) (said string, code int) {
	m.Helper()
	const nonce = "00112233445566778899"
	m.OK(os.WriteFile(m.In("quote.json"), []byte(m.Must("anchor", "quote", "--nonce", nonce)), 0o600))
	said, _, code = m.Ctl(append([]string{"anchor", "verify", m.In("quote.json"), "--nonce", nonce, "--memory", m.In("memory.json")}, args...)...)
	return said, code
}

// TestOlderStateDirectory: what comes back from before is noticed, be it the state directory or the
// whole disk; rpm installs what is newer, and is told how to go on where it installs what is older
// than what is there. A verifier notices it as well.
func TestOlderStateDirectory(t *testing.T) {
	for what, shown := range map[string]string{"state directory": "3", "whole disk": "2"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := newAnchored(t)
			m.Must("anchor", "enable")
			m.Must("rollback", "grant", "up-1-1.noarch", "--reason", "test")
			restore := m.old(what)
			m.RPM("-U", m.build("up-3-1.noarch"))
			m.Must("deny", "other<1", "--reason", "test")
			m.stands(api.AnchorDone)
			if said, code := m.verify("--first-use"); code != 0 {
				t.Errorf("a verifier says %d:\n%s", code, said)
			}

			restore()
			m.stands(api.AnchorOlder)
			m.Must("sync")
			m.WantLists("tlv-up-0:" + shown + "-1.noarch")
			for _, old := range []string{"up-1-1.noarch", "up-2-1.noarch"} {
				if old == "up-"+shown+"-1.noarch" {
					continue
				}
				out, err := m.RPMCommand("-U", "--oldpackage", m.build(old)).CombinedOutput()
				if err == nil || !strings.Contains(string(out), "digestctl anchor accept --reason") {
					t.Errorf("rpm installs %s: %v\n%s", old, err, out)
				}
			}
			if said, code := m.verify(); code != 3 || !strings.Contains(said, "the state directory is older") {
				t.Errorf("a verifier says %d:\n%s", code, said)
			}
			m.RPM("-U", m.build("up-4-1.noarch"), m.build("new-1-1.noarch"))
			m.WantLists("tlv-new-0:1-1.noarch", "tlv-up-0:4-1.noarch")
			m.Must("anchor", "accept", "--reason", "test")
			m.stands(api.AnchorDone)
			if out, err := m.RPMCommand("-U", "--oldpackage", m.build("up-1-1.noarch")).CombinedOutput(); err == nil {
				t.Errorf("rpm installs what was granted before:\n%s", out)
			}
		})
	}
	// Nobody on the machine can tell.
	t.Run("whole disk and TPM", func(t *testing.T) {
		t.Parallel()
		m := newAnchored(t)
		m.Must("anchor", "enable")
		restore := m.old("whole disk and TPM")
		m.Must("deny", "other<1", "--reason", "test")
		if said, code := m.verify("--first-use"); code != 0 {
			t.Errorf("a verifier says %d:\n%s", code, said)
		}
		restore()
		m.stands(api.AnchorDone)
		if said, code := m.verify(); code != 3 || !strings.Contains(said, "the TPM was set back") {
			t.Errorf("a verifier says %d:\n%s", code, said)
		}
	})
}

// counter reads the counter while digestd does not run.
func (m anchored) counter() (value uint64) {
	m.Helper()
	var s struct {
		Index      uint32
		Name, Auth []byte
	}
	data, err := os.ReadFile(m.secret())
	m.OK(err)
	m.OK(json.Unmarshal(data, &s))
	tpmtest.Do(m.TB, m.tpm.Socket, func(c *tpm.Conn) error {
		value, err = c.ReadCounter(tpm.Counter{Index: s.Index, Name: s.Name, Auth: s.Auth})
		return err
	})
	return value
}

// TestAnchoredAtShutdown: what is not urgent is anchored when digestd ends. A TPM that hangs holds up
// neither that end nor a revocation, which says that it is not anchored yet.
func TestAnchoredAtShutdown(t *testing.T) {
	m := newAnchored(t)
	m.Must("anchor", "enable")
	m.stands(api.AnchorDone)
	m.RPM("-U", m.build("up-3-1.noarch"))
	m.Must("anchor", "status")
	before := m.anchor()
	if before.Standing != api.AnchorPending {
		t.Errorf("a higher version was installed, and the anchor is %+v", before)
	}
	m.Stop()
	if now := m.counter(); now != before.Value+1 {
		t.Errorf("digestd ended with the counter at %d, which was at %d", now, before.Value)
	}
	m.Start()
	m.stands(api.AnchorDone)
	m.tpm.Hang()
	begun := time.Now()
	out := m.Must("keys", "revoke", vendorFingerprint(t), "--reason", "stolen")
	if took := time.Since(begun); took < 2*time.Second || took > 15*time.Second || !strings.Contains(out, "not anchored yet") {
		t.Errorf("after %v a revocation says:\n%s", took, out)
	}
	m.WantLists()
	begun = time.Now()
	m.Stop()
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("a TPM that hangs held up the end for %v", took)
	}
	m.tpm.Wake()
	m.Start()
	m.stands(api.AnchorDone)
	m.WantLists()
}

// vendorFingerprint is that of the key that signs packages.
func vendorFingerprint(t *testing.T) string {
	t.Helper()
	s, err := signerOf("vendor")
	if err != nil {
		t.Fatal(err)
	}
	return s.fingerprint()
}
