// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
)

// failpoints lists the instants of that kind at which the daemon can be made to die.
func failpoints(t *testing.T, prefix string) (names []string) {
	t.Helper()
	sources, err := filepath.Glob("../../daemon/*.go")
	if err != nil {
		t.Fatal(err)
	}
	hit := regexp.MustCompile(`failpoint\.Hit\("(` + prefix + `[a-z-]+)"\)`)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range hit.FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
	}
	if len(names) < 3 {
		t.Fatalf("found only %v", names)
	}
	return names
}

// wholesome checks that every list can be read and that nothing is left in staging,
// in quarantine, or beside the own lists.
func (m *machine) wholesome(bodies ...string) {
	m.Helper()
	for _, name := range m.lists() {
		data, err := os.ReadFile(filepath.Join(m.Lists(), name))
		if err != nil {
			m.Fatal(err)
		}
		body, _, _, err := digestlist.SplitSignature(data)
		if err == nil {
			_, err = digestlist.ParseTLV(body)
		}
		if err != nil {
			m.Fatalf("%s: %v", name, err)
		}
	}
	m.wait(func() bool { return len(m.names(m.Lists()+".staging")) == 0 }, func() string {
		return fmt.Sprintf("staging has %v", m.names(m.Lists()+".staging"))
	})
	if left := m.names(m.Lists() + ".quarantine"); len(left) > 0 {
		m.Fatalf("in quarantine are %v", left)
	}
	if left := m.names(filepath.Join(m.State(), "own")); !slices.Equal(left, bodies) {
		m.Fatalf("the folder of own lists has %v, want %v", left, bodies)
	}
	if s := m.status(); s.State != api.Healthy {
		m.Fatalf("problems: %+v", s.Problems)
	}
}

// Wherever the daemon dies while it changes an own list, a start afterwards has
// the version before or the one after, whole, and no version twice.
func TestKilledWhileChanging(t *testing.T) {
	for _, point := range failpoints(t, "own-") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := start(t)
			m.write("/opt/t", "1")
			m.must("own", "add", "tools", m.inside("/opt/t"))
			m.Stop()
			m.write("/opt/t", "2")
			m.Start("DIGESTD_FAILPOINT=" + point)
			removing := strings.HasSuffix(point, "remove")
			verb := []string{"own", "update", "tools"}
			if removing {
				verb = []string{"own", "rm", "tools"}
			}
			if out, errOut, code := m.ctl(verb...); code == 0 {
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
				m.eventually()
				m.wholesome()
			case own.Version == 1:
				if point != "own-before-commit" {
					t.Errorf("what was recorded is lost: %+v", own)
				}
				m.vouched("/opt/t", false)
				m.wholesome("tools.1")
			default:
				m.vouched("/opt/t", true)
				m.wholesome("tools.2")
			}
			m.write("/opt/t", "3")
			if r := decode[api.OwnResult](m, "own", "add", "tools", m.inside("/opt/t")); r.Version != own.Version+1 {
				t.Errorf("after version %d came %d", own.Version, r.Version)
			}
			m.vouched("/opt/t", true)
			m.wholesome(fmt.Sprintf("tools.%d", own.Version+1))
			m.write("/opt/t", "1")
			m.fails(1, "own:tools-1-1.noarch is older", "own", "update", "tools")
		})
	}
}

// The index is lost; own lists are restored from what is kept beside it.
func TestIndexLost(t *testing.T) {
	m := start(t)
	m.write("/opt/t", "1")
	m.must("own", "add", "tools", m.inside("/opt/t"))
	m.write("/opt/t", "2")
	m.must("own", "update", "tools")
	m.Stop()
	if err := os.Remove(filepath.Join(m.State(), "index.db")); err != nil {
		t.Fatal(err)
	}
	m.Start()
	m.vouched("/opt/t", true)
	m.eventually(toolsList)
	if own := decode[api.Own](m, "own", "show", "tools"); own.Version != 2 || own.State != api.StateActive {
		t.Errorf("restored: %+v", own)
	}
	m.write("/opt/t", "3")
	if r := m.update("tools"); r.Version != 3 {
		t.Errorf("after that: %+v", r)
	}
}
