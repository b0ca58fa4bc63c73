// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/integration/pkgtest"
)

// wholesome checks that every list is whole and that nothing is left in staging, in
// quarantine, or beside the own lists.
func (m *machine) wholesome(bodies ...string) {
	m.Helper()
	m.Wholesome()
	if left := m.Quarantined(); len(left) > 0 {
		m.Fatalf("in quarantine are %v", left)
	}
	if left := m.NamesIn(filepath.Join(m.State(), "own")); !slices.Equal(left, bodies) {
		m.Fatalf("the directory of own lists has %v, want %v", left, bodies)
	}
	if s := m.Status(); s.State != api.Healthy {
		m.Fatalf("problems: %+v", s.Problems)
	}
}

// changed is a machine with an own list of one file, which is another by now.
func changed(t *testing.T) *machine {
	m := start(t)
	m.Write("/opt/t", "1")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	m.Write("/opt/t", "2")
	return m
}

// Wherever the daemon dies while it changes an own list, a start afterwards has
// the version before or the one after, whole, and no version twice.
func TestKilledWhileChanging(t *testing.T) {
	pkgtest.Crashes[*machine]{
		Passes:  pkgtest.Passes{"own": pkgtest.AllEffects("own")},
		Most:    2,
		Prepare: changed,
		Do:      func(m *machine) { m.Ctl("own", "update", "tools") },
		After: func(m *machine, died pkgtest.Death) {
			own := decode[api.Own](m, "own", "show", "tools")
			if own.Version == 1 {
				if !died.At("own", failpoint.BeforeIntent) {
					m.Errorf("what was recorded is lost: %+v", own)
				}
				m.Vouched("/opt/t", false)
				m.wholesome("tools.1")
			} else {
				m.Vouched("/opt/t", true)
				m.wholesome("tools.2")
			}
			m.goesOn(own)
		},
	}.Try(t)
}

// Wherever the daemon dies while it removes an own list, the list is removed once that
// began.
func TestKilledWhileRemoving(t *testing.T) {
	pkgtest.Crashes[*machine]{
		Passes:  pkgtest.Passes{"disown": pkgtest.AllEffects("disown")},
		Prepare: changed,
		Do:      func(m *machine) { m.Ctl("own", "rm", "tools") },
		After: func(m *machine, died pkgtest.Death) {
			own := decode[api.Own](m, "own", "show", "tools")
			if died.At("disown", failpoint.BeforeIntent) {
				if own.State != api.StateActive {
					m.Errorf("did not begin to be removed, and is %+v", own)
				}
				m.WantLists(toolsList)
				m.wholesome("tools.1")
			} else {
				if own.State != api.StateRemoved {
					m.Errorf("began to be removed, and is %+v", own)
				}
				m.WantLists()
				m.wholesome()
			}
			m.goesOn(own)
		},
	}.Try(t)
}

// TestKilledWhileFinishingRemoval: digestd died after the removal of an own list had begun.
// The next one ends that, wherever it dies as well.
func TestKilledWhileFinishingRemoval(t *testing.T) {
	pkgtest.Crashes[*machine]{
		Passes: pkgtest.Passes{"expire": {failpoint.Withdraw, failpoint.Sync, failpoint.Commit}},
		Prepare: func(t *testing.T) *machine {
			m := changed(t)
			m.Stop()
			m.Start(failpoint.Variable + "=" + failpoint.Name("disown", failpoint.AfterIntent))
			m.Ctl("own", "rm", "tools")
			m.Wait()
			m.HasLists(toolsList)
			return m
		},
		After: func(m *machine, _ pkgtest.Death) {
			own := decode[api.Own](m, "own", "show", "tools")
			if own.State != api.StateRemoved {
				m.Errorf("began to be removed, and is %+v", own)
			}
			m.WantLists()
			m.wholesome()
			m.goesOn(own)
		},
	}.Try(t)
}

// TestKilledWhileCertificateIsGone: an own list whose certificate went while digestd was
// away leaves before a start is over, wherever digestd dies meanwhile, and returns with the
// certificate.
func TestKilledWhileCertificateIsGone(t *testing.T) {
	b := newBuilder(t, "builder")
	pkgtest.Crashes[*machine]{
		Passes: pkgtest.Passes{"gather": {failpoint.Withdraw, failpoint.Sync, failpoint.Commit}},
		Prepare: func(t *testing.T) *machine {
			m := start(t)
			m.Write("/opt/app", "one")
			cert := m.trust(b)
			m.Must("own", "import", "app", b.list(t, map[string]string{"/opt/app": "one"}))
			m.Vouched("/opt/app", true)
			m.Stop()
			m.OK(os.Remove(cert))
			return m
		},
		After: func(m *machine, _ pkgtest.Death) {
			if got := m.Names(); len(got) > 0 {
				m.Errorf("when the start was over the list directory had %v", got)
			}
			m.Vouched("/opt/app", false)
			m.trust(b)
			m.Until("vouched for with the certificate", func() bool { return m.Why("/opt/app").Vouched })
			m.wholesome("app.1.imported")
		},
	}.Try(t)
}

// goesOn sees that versions of the list go on rising after the one that it has.
func (m *machine) goesOn(own api.Own) {
	m.Helper()
	m.Write("/opt/t", "3")
	if r := decode[api.OwnResult](m, "own", "add", "tools", m.Path("/opt/t")); r.Version != own.Version+1 {
		m.Errorf("after version %d came %d", own.Version, r.Version)
	}
	m.Vouched("/opt/t", true)
	m.wholesome(fmt.Sprintf("tools.%d", own.Version+1))
	m.Write("/opt/t", "1")
	m.Fails(1, "own:tools-1-1.noarch is older", "own", "update", "tools")
}

// The index is lost; own lists are restored from what is kept beside it.
func TestIndexLost(t *testing.T) {
	m := start(t)
	m.Write("/opt/t", "1")
	m.Must("own", "add", "tools", m.Path("/opt/t"))
	m.Write("/opt/t", "2")
	m.Must("own", "update", "tools")
	m.Stop()
	m.OK(os.Remove(filepath.Join(m.State(), "index.db")))
	m.Start()
	m.Vouched("/opt/t", true)
	m.WantLists(toolsList)
	if own := decode[api.Own](m, "own", "show", "tools"); own.Version != 2 || own.State != api.StateActive {
		t.Errorf("restored: %+v", own)
	}
	m.Write("/opt/t", "3")
	if r := m.update("tools"); r.Version != 3 {
		t.Errorf("after that: %+v", r)
	}
}
