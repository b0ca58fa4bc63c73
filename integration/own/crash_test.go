// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
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
		m.Fatalf("the folder of own lists has %v, want %v", left, bodies)
	}
	if s := m.Status(); s.State != api.Healthy {
		m.Fatalf("problems: %+v", s.Problems)
	}
}

// Wherever the daemon dies while it changes an own list, a start afterwards has
// the version before or the one after, whole, and no version twice.
func TestKilledWhileChanging(t *testing.T) {
	for _, point := range pkgtest.Failpoints(t, "own-", 3) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := start(t)
			m.Write("/opt/t", "1")
			m.Must("own", "add", "tools", m.Path("/opt/t"))
			m.Stop()
			m.Write("/opt/t", "2")
			m.Start("DIGESTD_FAILPOINT=" + point)
			removing := strings.HasSuffix(point, "remove")
			verb := []string{"own", "update", "tools"}
			if removing {
				verb = []string{"own", "rm", "tools"}
			}
			if out, errOut, code := m.Ctl(verb...); code == 0 {
				t.Fatalf("digestd was to die and answered\n%s%s", out, errOut)
			}
			m.Wait()
			m.Start()
			own := decode[api.Own](m, "own", "show", "tools")
			switch {
			case removing:
				if own.State != api.StateRemoved {
					t.Fatalf("began to be removed, and is %+v", own)
				}
				m.WantLists()
				m.wholesome()
			case own.Version == 1:
				if point != "own-before-commit" {
					t.Errorf("what was recorded is lost: %+v", own)
				}
				m.Vouched("/opt/t", false)
				m.wholesome("tools.1")
			default:
				m.Vouched("/opt/t", true)
				m.wholesome("tools.2")
			}
			m.Write("/opt/t", "3")
			if r := decode[api.OwnResult](m, "own", "add", "tools", m.Path("/opt/t")); r.Version != own.Version+1 {
				t.Errorf("after version %d came %d", own.Version, r.Version)
			}
			m.Vouched("/opt/t", true)
			m.wholesome(fmt.Sprintf("tools.%d", own.Version+1))
			m.Write("/opt/t", "1")
			m.Fails(1, "own:tools-1-1.noarch is older", "own", "update", "tools")
		})
	}
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
