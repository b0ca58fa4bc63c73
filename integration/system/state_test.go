// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A state directory that is deleted and made anew is noticed at once; the history
// is put back on disk, nobody is accused, and no second digestd starts beside.
func TestStateDirectoryReplaced(t *testing.T) {
	m, _ := history(t)
	m.mustRPM("-U", m.mustBuild("up-2-1.noarch", "/opt/up=2"))
	if err := errors.Join(os.RemoveAll(m.state), os.Mkdir(m.state, 0o700)); err != nil {
		t.Fatal(err)
	}
	m.awaitProblem("state-replaced")
	m.mustRPM("-U", m.mustBuild("later-1-1.noarch"))
	m.mustRPM("-e", "up")
	m.mustCtl("sync")
	if m.digestctl("status").Run() == nil {
		t.Error("status is well, though the signing key is on no disk")
	}

	other := m.prepareDaemon()
	config := string(read(t, m.path("digestd.conf")))
	write(t, m.path("other.conf"), []byte(strings.NewReplacer("hook.sock", "other.sock", m.bus.Address, "none", m.state, m.path("other")).Replace(config)))
	other.Args[slices.Index(other.Args, m.path("digestd.conf"))] = m.path("other.conf")
	var said strings.Builder
	other.Stderr = &said
	if err := other.Run(); err == nil || !strings.Contains(said.String(), "another digestd is using it") {
		t.Errorf("a second digestd on the same lists (%v):\n%s", err, said.String())
	}

	m.stop()
	m.startDaemon()
	if out, err := m.rpm("-U", "up-1-1.noarch.rpm").CombinedOutput(); err == nil || !strings.Contains(string(out), "older than 2-1") {
		t.Errorf("what was decided before the loss is forgotten (%v):\n%s", err, out)
	}
	m.eventually("tlv-gone-0:1-1.noarch", "tlv-later-0:1-1.noarch", "tlv-same-0:1-1.noarch")
	if log := m.log.String(); strings.Contains(log, "tampered") {
		t.Error("digestd accuses itself")
	}
	if aside, err := os.ReadDir(filepath.Join(m.place, "lists.quarantine")); err != nil || len(aside) > 0 {
		t.Errorf("in quarantine: %v (%v)", aside, err)
	}
}

// A state directory that is away is noticed, and so is its return.
func TestStateDirectoryAway(t *testing.T) {
	m, _ := history(t)
	if err := os.Rename(m.state, m.state+".away"); err != nil {
		t.Fatal(err)
	}
	m.awaitProblem("state")
	if out, err := m.digestctl("floor", "set", "up.noarch", "1-1", "--reason", "test").CombinedOutput(); err == nil {
		t.Errorf("a floor was set on no disk:\n%s", out)
	}
	m.mustRPM("-U", m.mustBuild("later-1-1.noarch")) // which must not suffer
	if err := os.Rename(m.state+".away", m.state); err != nil {
		t.Fatal(err)
	}
	m.solved("state")
	m.mustCtl("sync")
	m.mustCtl("status")
	m.mustCtl("floor", "set", "up.noarch", "1-1", "--reason", "test")
	m.kill()
	m.startDaemon()
	m.converged(0)
	m.mustCtl("status")
}

// A state directory that was exchanged once and is back, or was made anew, is looked
// after as before: the next exchange is noticed without anything to be recorded.
func TestStateDirectoryReplacedAgain(t *testing.T) {
	m, _ := history(t)
	away := m.state + ".away"
	exchange := func(kind string, put func() error) {
		t.Helper()
		if err := errors.Join(os.Rename(m.state, away), put()); err != nil {
			t.Fatal(err)
		}
		if text := m.awaitProblem("state"); !strings.Contains(text, "replaced") {
			t.Errorf("%s: %s", kind, text)
		}
		if err := errors.Join(os.RemoveAll(m.state), os.Rename(away, m.state)); err != nil {
			t.Fatal(err)
		}
		m.solved("state")
	}
	exchange("file", func() error { return os.WriteFile(m.state, nil, 0o600) })
	exchange("symbolic link", func() error { return os.Symlink(t.TempDir(), m.state) })
	exchange("nothing", func() error { return nil })
	exchange("symbolic link", func() error { return os.Symlink(t.TempDir(), m.state) })
	m.mustCtl("status")

	if err := errors.Join(os.RemoveAll(m.state), os.Mkdir(m.state, 0o700)); err != nil {
		t.Fatal(err)
	}
	m.awaitProblem("state-replaced")
	if err := os.RemoveAll(m.state); err != nil {
		t.Fatal(err)
	}
	m.awaitProblem("state")
}
