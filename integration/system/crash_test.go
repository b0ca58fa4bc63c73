// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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

// TestDaemonKilled kills the daemon at every instant that matters, in a
// transaction that installs, in one that erases, and in a reconciliation.
func TestDaemonKilled(t *testing.T) {
	for _, point := range pkgtest.Failpoints(t, "", 8) {
		if slices.ContainsFunc([]string{"revoke-", "rotate-", "deny-", "own-", "order-", "unenrol-"}, func(p string) bool { return strings.HasPrefix(point, p) }) {
			continue // have tests of their own
		}
		for nth := 1; nth <= 2; nth++ {
			t.Run(fmt.Sprintf("%s-%d", point, nth), func(t *testing.T) {
				t.Parallel()
				m, upgrade := history(t)
				counter := m.counter()
				m.Stop()
				fail := fmt.Sprintf("DIGESTD_FAILPOINT=%s:%d", point, nth)
				if strings.HasPrefix(point, "sync-") {
					m.RPM(append([]string{"--noplugins"}, upgrade...)...)
					m.RPM("-e", "--noplugins", "gone")
					m.Spawn(fail)
					for !m.Exited() && nth > 1 {
						m.Digestctl("sync").Run()
					}
				} else {
					m.Start(fail)
					m.RPM(upgrade...)
					m.RPM("-e", "gone")
				}
				m.Wait()
				m.Start()
				m.converged(counter)
			})
		}
	}
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
	for _, point := range pkgtest.Failpoints(t, "", 8) {
		if !strings.HasPrefix(point, "revoke-") {
			continue
		}
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m, _ := history(t)
			m.importKey("other")
			m.RPM("-U", m.build("other-1-1.noarch", "key=other"))
			counter := m.counter()
			m.Stop()
			m.Start("DIGESTD_FAILPOINT=" + point)
			m.Digestctl("keys", "revoke", vendor.fingerprint(), "--reason", "test").Run()
			m.Wait()
			m.Start()
			m.WantLists("tlv-other-0:1-1.noarch")
			m.Must("sync")
			m.WantLists("tlv-other-0:1-1.noarch")
			m.Wholesome()
			if now := m.counter(); now < counter {
				t.Errorf("counter fell from %d to %d", counter, now)
			}
			if out := m.Must("keys", "show", vendor.fingerprint()); !strings.Contains(out, "revoked by") {
				t.Errorf("the revocation is lost:\n%s", out)
			}
		})
	}
}

// TestKilledWhileRotating: a change of the signing key that is cut short ends
// with one key or the other, every list signed by it.
func TestKilledWhileRotating(t *testing.T) {
	for _, point := range pkgtest.Failpoints(t, "", 8) {
		if !strings.HasPrefix(point, "rotate-") {
			continue
		}
		for nth := 1; nth <= 3; nth++ {
			if nth > 1 && point == "rotate-after-certificate" {
				continue // passed once
			}
			t.Run(fmt.Sprintf("%s-%d", point, nth), func(t *testing.T) {
				t.Parallel()
				m, _ := history(t)
				counter := m.counter()
				m.Stop()
				m.Start(fmt.Sprintf("DIGESTD_FAILPOINT=%s:%d", point, nth))
				m.Digestctl("keys", "rotate", "--reason", "test").Run()
				m.Wait()
				m.Start()
				m.converged(counter)
				m.Must("keys", "rotate", "--reason", "again")
				m.converged(counter)
			})
		}
	}
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
