// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/hooks/wire"
	"github.com/digestd/digestd/integration/pkgtest"
)

// TestKilledWhileRemovingUnknown: a package goes that came with a transaction which was cut
// short, of whose list the index does not know. The list leaves all the same, wherever
// digestd dies meanwhile.
func TestKilledWhileRemovingUnknown(t *testing.T) {
	const half = "tlv-half-0:1-1.noarch"
	pkgtest.Crashes[changing]{
		Passes:  pkgtest.Passes{"removing": {failpoint.Withdraw, failpoint.Sync}},
		Prepare: newChanging,
		Do: func(m changing) {
			region, sigs := m.headerOf(m.build("half-1-1.noarch"))
			h, err := header.Parse(region)
			m.OK(err)
			digest, err := h.Digest()
			m.OK(err)
			come := &wire.Header{Type: wire.Added, Region: region, Signatures: sigs}
			// The watch of the directory may be faster.
			for try := 1; try <= 5; try++ {
				if m.comeAndGo(come, digest, try) != nil {
					return // digestd died
				}
				if slices.Contains(m.Names(), half) {
					m.Error("the package is gone, and its list is not")
				}
			}
		},
		Dead: func(m changing, died pkgtest.Death) {
			if !died.At("removing", failpoint.BeforeWithdraw) && slices.Contains(m.Names(), half) {
				m.Errorf("digestd died at %s, and the list is there", died.Instant)
			}
		},
		After: func(m changing, _ pkgtest.Death) {
			m.converged(m.before)
			m.unsuspected()
		},
	}.Try(t)
}

// comeAndGo has one transaction bring a package and end in the midst, the nth on this machine
// to do that, while another is open, so that nothing compares. That one erases the package.
func (m changing) comeAndGo(come *wire.Header, digest [32]byte, nth int) error {
	m.Helper()
	goes := brings("half", "1")
	goes.Type = wire.RemovedElement
	erasing, bringing := wire.NewClient(m.dial()), wire.NewClient(m.dial())
	defer erasing.Close()
	if _, err := erasing.Begin(m.Context(), m.begin(goes)); err != nil {
		return err
	}
	if _, err := bringing.Begin(m.Context(), m.begin(brings("half", "1"))); err != nil {
		return err
	}
	l, err := bringing.Header(m.Context(), come)
	bringing.Close()
	if err != nil || l.Decision != wire.ListNamed {
		m.Fatalf("list %+v, %v", l, err)
	}
	for until := time.Now().Add(pkgtest.Patience); strings.Count(m.Log(), "transaction abandoned") < nth; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			m.Fatalf("nothing was abandoned:\n%s", m.Log())
		}
	}
	if err := erasing.Removed(&wire.Removed{Digest: digest}); err != nil {
		return err
	}
	_, err = erasing.End(m.Context(), &wire.End{})
	return err
}

// handing is a machine on which rpm waits in the midst of a transaction, which the next
// digestd takes over.
type handing struct {
	*manager
	rpm  *exec.Cmd
	open func()
}

func (m handing) Start(env ...string) time.Duration {
	m.up(env...)
	return 0
}

func (m handing) Spawn(env ...string) { m.launch(env...) }

func (m handing) Stop() { m.down() }

// newHanding has rpm wait in the midst of an upgrade.
func newHanding(t *testing.T) handing {
	m := handing{manager: newManager(t)}
	m.importKey("vendor")
	m.up()
	m.RPM("-U", m.build("up-1-1.noarch", "/opt/up=1"))
	gate, wait, open := m.gate("Requires: up")
	m.OK(exec.Command("cp", gate, m.In("packages", "gate-1-1.noarch.rpm")).Run())
	m.rpm, m.open = m.RPMCommand("-U", m.build("up-2-1.noarch", "/opt/up=2"), "gate-1-1.noarch.rpm"), open
	m.OK(m.rpm.Start())
	wait()
	return m
}

// upgraded checks what has come of the upgrade.
func (m handing) upgraded() {
	m.Helper()
	m.WantLists("tlv-up-0:2-1.noarch")
	m.Wholesome()
	m.unsuspected()
	m.RPMFails([]string{"older"}, "-U", "--oldpackage", "up-1-1.noarch.rpm")
}

// forgetful loses its index whenever digestd stops: the next one has to record that lists may
// come by the transaction which it takes over.
type forgetful struct{ handing }

func (m forgetful) Stop() {
	m.Helper()
	m.down()
	index, err := filepath.Glob(filepath.Join(m.State(), "index.*"))
	m.OK(err)
	for _, file := range index {
		m.OK(os.Remove(file))
	}
}

// TestKilledWhileTakingOver: rpm ends a transaction in peace, and its lists stand, though a digestd
// died that was about to take the transaction over.
func TestKilledWhileTakingOver(t *testing.T) {
	pkgtest.Crashes[forgetful]{
		Passes:  pkgtest.Passes{"takeover": pkgtest.AllEffects("takeover")},
		Prepare: func(t *testing.T) forgetful { return forgetful{newHanding(t)} },
		Dead:    func(m forgetful, _ pkgtest.Death) { m.heard() },
		After: func(m forgetful, _ pkgtest.Death) {
			m.open()
			if err := m.rpm.Wait(); err != nil {
				m.Errorf("rpm: %v", err)
			}
			m.upgraded()
		},
	}.Try(t)
}

// TestKilledAfterTakingOver: rpm ends a transaction in peace, and its lists stand, though the
// digestd dies that has taken the transaction over.
func TestKilledAfterTakingOver(t *testing.T) {
	pkgtest.Crashes[handing]{
		Passes:  pkgtest.Passes{"end": {failpoint.Sync}},
		Prepare: newHanding,
		Do: func(m handing) {
			m.Until("taken over", func() bool { return strings.Contains(m.Log(), "transaction taken over") })
			m.open()
			if err := m.rpm.Wait(); err != nil {
				m.Errorf("rpm: %v", err)
			}
		},
		After: func(m handing, _ pkgtest.Death) { m.upgraded() },
	}.Try(t)
}
