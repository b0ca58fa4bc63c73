// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// A state directory that is deleted and made anew is noticed at once; the history
// is put back on disk, nobody is accused, and no second digestd starts beside.
func TestStateDirectoryReplaced(t *testing.T) {
	m, _ := history(t)
	m.RPM("-U", m.build("up-2-1.noarch", "/opt/up=2"))
	m.OK(errors.Join(os.RemoveAll(m.State()), os.Mkdir(m.State(), 0o700)))
	m.AwaitProblem("state-replaced")
	m.RPM("-U", m.build("later-1-1.noarch"))
	m.RPM("-e", "up")
	m.Must("sync")
	if m.Digestctl("status").Run() == nil {
		t.Error("status is well, though the signing key is on no disk")
	}

	other := m.Prepare()
	config := string(read(t, m.In("digestd.conf")))
	write(t, m.In("other.conf"), []byte(strings.NewReplacer("hook.sock", "other.sock", m.Bus.Address, "none", m.State(), m.In("other")).Replace(config)))
	other.Args[slices.Index(other.Args, m.In("digestd.conf"))] = m.In("other.conf")
	var said strings.Builder
	other.Stderr = &said
	if err := other.Run(); err == nil || !strings.Contains(said.String(), "another digestd is using it") {
		t.Errorf("a second digestd on the same lists (%v):\n%s", err, said.String())
	}

	m.Stop()
	m.Start()
	if out, err := m.RPMCommand("-U", "up-1-1.noarch.rpm").CombinedOutput(); err == nil || !strings.Contains(string(out), "older than 2-1") {
		t.Errorf("what was decided before the loss is forgotten (%v):\n%s", err, out)
	}
	m.WantLists("tlv-gone-0:1-1.noarch", "tlv-later-0:1-1.noarch", "tlv-same-0:1-1.noarch")
	if log := m.Log(); strings.Contains(log, "tampered") {
		t.Error("digestd accuses itself")
	}
	if aside, err := os.ReadDir(m.Lists() + ".quarantine"); err != nil || len(aside) > 0 {
		t.Errorf("in quarantine: %v (%v)", aside, err)
	}
}

// A state directory that is away is noticed, and so is its return.
func TestStateDirectoryAway(t *testing.T) {
	m, _ := history(t)
	m.OK(os.Rename(m.State(), m.State()+".away"))
	m.AwaitProblem("state")
	if out, err := m.Digestctl("floor", "set", "up.noarch", "1-1", "--reason", "test").CombinedOutput(); err == nil {
		t.Errorf("a floor was set on no disk:\n%s", out)
	}
	m.RPM("-U", m.build("later-1-1.noarch")) // which must not suffer
	m.OK(os.Rename(m.State()+".away", m.State()))
	m.Solved("state")
	m.Must("sync")
	m.Must("status")
	m.Must("floor", "set", "up.noarch", "1-1", "--reason", "test")
	m.Kill()
	m.Start()
	m.converged(0)
	m.Must("status")
}

// A state directory that was exchanged once and is back, or was made anew, is looked
// after as before: the next exchange is noticed without anything to be recorded.
func TestStateDirectoryReplacedAgain(t *testing.T) {
	m, _ := history(t)
	away := m.State() + ".away"
	exchange := func(kind string, put func() error) {
		t.Helper()
		if err := errors.Join(os.Rename(m.State(), away), put()); err != nil {
			t.Fatal(err)
		}
		if text := m.AwaitProblem("state"); !strings.Contains(text, "replaced") {
			t.Errorf("%s: %s", kind, text)
		}
		if err := errors.Join(os.RemoveAll(m.State()), os.Rename(away, m.State())); err != nil {
			t.Fatal(err)
		}
		m.Solved("state")
	}
	exchange("file", func() error { return os.WriteFile(m.State(), nil, 0o600) })
	exchange("symbolic link", func() error { return os.Symlink(t.TempDir(), m.State()) })
	exchange("nothing", func() error { return nil })
	exchange("symbolic link", func() error { return os.Symlink(t.TempDir(), m.State()) })
	// A comparison that an exchange interrupted is tried again by itself.
	m.Until("digestd is well again", func() bool { return m.Digestctl("status").Run() == nil })

	m.OK(errors.Join(os.RemoveAll(m.State()), os.Mkdir(m.State(), 0o700)))
	m.AwaitProblem("state-replaced")
	m.OK(os.RemoveAll(m.State()))
	m.AwaitProblem("state")
}
