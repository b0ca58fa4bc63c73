// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
)

// history prepares a machine on which every kind of change can be made in one
// transaction: an upgrade, a first install, a reinstall and, after, a removal.
func history(t *testing.T) (m *machine, upgrade []string) {
	m = start(t)
	m.RPM("-U", m.build("up-1-1.noarch", "/opt/up=1", "/opt/shared=s"), m.build("same-1-1.noarch"), m.build("gone-1-1.noarch", "/opt/gone=1", "/opt/shared=s"))
	m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch", "tlv-up-0:1-1.noarch")
	return m, []string{"-U", "--replacepkgs", m.build("up-2-1.noarch", "/opt/up=2", "/opt/shared=s"), m.build("new-1-1.noarch"), "same-1-1.noarch.rpm"}
}

// converged checks what must hold once a machine has come to rest, whatever
// went before: exactly what is installed is vouched for, nothing is partial,
// the counter has not fallen, and what was superseded stays out.
func (m *machine) converged(counter uint64) {
	m.Helper()
	m.Must("sync")
	installed := slices.Compact(m.Installed()) // a reinstall that was cut short leaves two
	want := make([]string, len(installed))
	for i, pkg := range installed {
		want[i] = "tlv-" + pkg
	}
	m.WantLists(want...)
	m.Wholesome()
	if now := m.counter(); now < counter {
		m.Fatalf("counter fell from %d to %d", counter, now)
	}
	if slices.Contains(installed, "up-0:2-1.noarch") && !slices.Contains(installed, "up-0:1-1.noarch") {
		out, err := m.RPMCommand("-U", "--oldpackage", "up-1-1.noarch.rpm").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "older than 2-1") {
			m.Fatalf("an old version came back (%v):\n%s", err, out)
		}
	}
}

func (m *machine) counter() uint64 { return m.Status().Counter }

// changing is a machine with a history, on which something is changed.
type changing struct {
	*machine
	upgrade []string
	before  uint64 // the counter
}

func newChanging(t *testing.T) changing {
	m, upgrade := history(t)
	return changing{m, upgrade, m.counter()}
}

// notFallen sees that the counter only rises.
func (m changing) notFallen() {
	m.Helper()
	if now := m.counter(); now < m.before {
		m.Errorf("counter fell from %d to %d", m.before, now)
	}
}

// TestDaemonKilled kills the daemon at every instant that matters, in a transaction that
// installs and one that erases.
func TestDaemonKilled(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{
			"mark": pkgtest.AllEffects("mark"), "add": {failpoint.Publish}, "remove": {failpoint.Withdraw},
			"end": {failpoint.Sync, failpoint.Commit}, "labels": nil,
		},
		Most:    2,
		Prepare: newChanging,
		Do: func(m changing) {
			m.RPM(m.upgrade...)
			m.RPM("-e", "gone")
		},
		After: func(m changing, _ pkgtest.Death) { m.converged(m.before) },
	}.Try(t)
}

// TestKilledWhileComparing kills it in a comparison that finds what it was not told of.
func TestKilledWhileComparing(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"sync": pkgtest.AllEffects("sync")},
		Most:   2,
		Prepare: func(t *testing.T) changing {
			m := newChanging(t)
			m.Stop()
			m.RPM(append([]string{"--noplugins"}, m.upgrade...)...)
			m.RPM("-e", "--noplugins", "gone")
			return m
		},
		After: func(m changing, _ pkgtest.Death) { m.converged(m.before) },
	}.Try(t)
}

// TestKilledWhileTakingBack kills it while it takes back what two packages brought that
// cannot be unpacked: a build of a version that is installed, and a new one.
func TestKilledWhileTakingBack(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"failed": {failpoint.Withdraw, failpoint.Publish}},
		Prepare: func(t *testing.T) changing {
			m := newChanging(t)
			// A file cannot replace a directory in its way.
			for _, name := range []string{"same", "late"} {
				m.OK(os.MkdirAll(m.In("root", "opt", "way-of-"+name, "full"), 0o755))
			}
			m.upgrade = []string{"-U", "--replacepkgs", m.build("same-1-1.noarch", "/opt/way-of-same=x"), m.build("late-1-1.noarch", "/opt/way-of-late=x")}
			return m
		},
		Do: func(m changing) { m.RPMCommand(m.upgrade...).Run() },
		After: func(m changing, _ pkgtest.Death) {
			m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch", "tlv-up-0:1-1.noarch")
			m.converged(m.before)
			m.unsuspected()
		},
	}.Try(t)
}

// TestKilledWhileSettingFloor: a floor that was recorded holds after the next start, and
// what it withheld comes back when it is cleared.
func TestKilledWhileSettingFloor(t *testing.T) {
	set := func(m changing) *exec.Cmd { return m.Digestctl("floor", "set", "up", "2-1", "--reason", "test") }
	pkgtest.Crashes[changing]{
		Passes:  pkgtest.Passes{"floor": pkgtest.OwnEffects("floor")},
		Prepare: newChanging,
		Do:      func(m changing) { set(m).Run() },
		After: func(m changing, died pkgtest.Death) {
			if died.At("floor", failpoint.BeforeIntent) {
				m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch", "tlv-up-0:1-1.noarch")
				m.OK(set(m).Run()) // nothing has happened
			}
			m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch")
			m.Must("sync")
			m.WantLists("tlv-gone-0:1-1.noarch", "tlv-same-0:1-1.noarch")
			m.notFallen()
			m.Must("floor", "clear", "up", "--reason", "test")
			m.converged(m.before)
			m.unsuspected()
		},
	}.Try(t)
}

// TestManyListsLast: what rpm was told is recorded is so for a transaction of many
// packages, whose lists are made durable another way, however soon the daemon dies.
func TestManyListsLast(t *testing.T) {
	const many = 70
	m := start(t)
	install, want := []string{"-i"}, []string{}
	for i := range many {
		name := fmt.Sprintf("many%02d", i)
		install = append(install, m.build(name+"-1-1.noarch"))
		want = append(want, "tlv-"+name+"-0:1-1.noarch")
	}
	m.RPM(install...)
	counter := m.counter()
	m.Kill()
	if got := m.Names(); !slices.Equal(got, want) {
		t.Errorf("lists are %v", got)
	}
	m.Start()
	m.WantLists(want...)
	m.Wholesome()
	if now := m.counter(); now != counter || counter < many {
		t.Errorf("counter was %d, is %d", counter, now)
	}
}

// TestKilledWhileRevoking: once a revocation began, it is complete after the next
// start, wherever the daemon died.
func TestKilledWhileRevoking(t *testing.T) {
	vendor, err := signerOf("vendor")
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(m changing) *exec.Cmd {
		return m.Digestctl("keys", "revoke", vendor.fingerprint(), "--reason", "test")
	}
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"revoke": pkgtest.OwnEffects("revoke")},
		Most:   2,
		Prepare: func(t *testing.T) changing {
			m := newChanging(t)
			m.importKey("other")
			m.RPM("-U", m.build("other-1-1.noarch", "key=other"))
			m.before = m.counter()
			return m
		},
		Do: func(m changing) { revoke(m).Run() },
		After: func(m changing, died pkgtest.Death) {
			if died.At("revoke", failpoint.BeforeIntent) {
				m.WantLists("tlv-gone-0:1-1.noarch", "tlv-other-0:1-1.noarch", "tlv-same-0:1-1.noarch", "tlv-up-0:1-1.noarch")
				m.OK(revoke(m).Run()) // nothing has happened
			}
			m.WantLists("tlv-other-0:1-1.noarch")
			m.Must("sync")
			m.WantLists("tlv-other-0:1-1.noarch")
			m.Wholesome()
			m.notFallen()
			if out := m.Must("keys", "show", vendor.fingerprint()); !strings.Contains(out, "revoked by") {
				m.Errorf("the revocation is lost:\n%s", out)
			}
		},
	}.Try(t)
}

// TestKilledWhileRotating: a change of the signing key that is cut short ends
// with one key or the other, every list signed by it.
func TestKilledWhileRotating(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes:  pkgtest.Passes{"rotate": pkgtest.AllEffects("rotate")},
		Most:    3,
		Prepare: newChanging,
		Do:      func(m changing) { m.Digestctl("keys", "rotate", "--reason", "test").Run() },
		After: func(m changing, _ pkgtest.Death) {
			m.converged(m.before)
			m.Must("keys", "rotate", "--reason", "again")
			m.converged(m.before)
		},
	}.Try(t)
}

// TestPackageManagerKilled kills rpm at every message to the daemon, and at
// writes to its own database.
func TestPackageManagerKilled(t *testing.T) {
	for _, call := range []struct {
		name        string
		first, step int
	}{{"sendmsg", 1, 1}, {"pwrite64", 1, 7}, {"rename,renameat,renameat2", 1, 1}} {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			killed := 0
			for n := call.first; ; n += call.step {
				m, upgrade := history(t)
				counter := m.counter()
				rpm := m.RPMCommand(upgrade...)
				strace := exec.Command("strace", append([]string{"-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call.name,
					"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call.name, n)}, rpm.Args...)...)
				strace.Env = rpm.Env
				out, err := strace.CombinedOutput()
				m.converged(counter)
				m.Kill()
				m.Bus.Stop()
				if err == nil {
					break
				}
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL && exit.ExitCode() != 128+9 {
					t.Fatalf("rpm killed at %s %d: %v\n%s", call.name, n, err, out)
				}
				killed++
			}
			if killed < 3 {
				t.Fatalf("rpm was killed %d times only", killed)
			}
		})
	}
}

// TestConvergesAfterBothDie: the daemon and the package manager die in the same
// transaction, as in a loss of power.
func TestConvergesAfterBothDie(t *testing.T) {
	m, upgrade := history(t)
	counter := m.counter()
	m.Stop()
	m.Start("DIGESTD_FAILPOINT=add-after-publish:2")
	rpm := m.RPMCommand(upgrade...)
	m.OK(rpm.Start())
	m.Wait()
	rpm.Process.Kill()
	rpm.Wait()
	died := time.Now()
	m.Start()
	m.converged(counter)
	// rpm names the files it unpacks by the second, and refuses to write over what
	// was left by a transaction of the same one.
	time.Sleep(time.Until(died.Truncate(time.Second).Add(time.Second)))
	m.RPM(upgrade...)
	m.converged(counter)
}

// TestKilledWhileTidying kills it while it puts aside what something other than digestd
// left in the list directory: what is there never stays, and what was put aside is on
// record.
func TestKilledWhileTidying(t *testing.T) {
	const strange = "tlv-strange-0:1-1.noarch"
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"inspect": {failpoint.Aside}},
		Prepare: func(t *testing.T) changing {
			m := newChanging(t)
			m.Stop()
			m.OK(os.WriteFile(m.list(strange), []byte("not ours"), 0o644))
			return m
		},
		After: func(m changing, _ pkgtest.Death) {
			m.converged(m.before)
			aside, err := os.ReadDir(m.Lists() + ".quarantine")
			if err != nil || len(aside) != 1 {
				m.Errorf("quarantine has %v, %v", aside, err)
			}
			if out := m.Must("list", "quarantined"); !strings.Contains(out, strange) {
				m.Errorf("what was put aside is on no record:\n%s", out)
			}
			if out := m.Must("log"); !strings.Contains(out, "tampered") {
				m.Errorf("the log says nothing of it:\n%s", out)
			}
		},
	}.Try(t)
}

// TestKilledWhileReconfigured: a setting by which lists go holds after the next start,
// wherever digestd died while it took the setting over.
func TestKilledWhileReconfigured(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes: pkgtest.Passes{"configuration": {failpoint.Intent, failpoint.Withdraw}},
		Prepare: func(t *testing.T) changing {
			m := newMachine(t)
			m.importKey("vendor")
			m.Config = []string{`unsigned = "allow"`}
			m.Start()
			m.RPM("-U", m.build("plain-1-1.noarch", "key="), m.build("signed-1-1.noarch"))
			m.WantLists("tlv-plain-0:1-1.noarch", "tlv-signed-0:1-1.noarch")
			return changing{machine: m, before: m.counter()}
		},
		Do: func(m changing) {
			m.Config = []string{`unsigned = "withhold"`}
			m.Prepare() // which writes it
			m.Signal(syscall.SIGHUP)
			pkgtest.Await(func() bool { return m.Exited() || len(m.Names()) == 1 })
		},
		After: func(m changing, _ pkgtest.Death) {
			m.Must("sync")
			m.WantLists("tlv-signed-0:1-1.noarch")
			m.notFallen()
			m.unsuspected()
		},
	}.Try(t)
}
