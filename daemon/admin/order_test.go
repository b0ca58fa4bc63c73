// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/integration/needs"
)

// uses is a measurement list of these paths.
func uses(paths ...string) (log [][]byte) {
	for _, path := range paths {
		log = append(log, []byte(path))
	}
	return log
}

// Lists get the place of their first use for a number, and have it in their names after the
// next comparison.
func TestOrderSet(t *testing.T) {
	for name, test := range map[string]struct {
		uses    func(m *daemontest.Machine) [][]byte
		matched int
		byFiles bool
		want    []string
	}{
		"by lists": {func(m *daemontest.Machine) [][]byte {
			return uses("boot_aggregate", filepath.Join(m.Config.Lists, otherList), m.Path("/usr/bin/hello"), filepath.Join(m.Config.Lists, "7-"+helloList), filepath.Join(m.Config.Lists, otherList))
		}, 3, false, []string{"1-" + otherList, "3-" + helloList}},
		"by files": {func(m *daemontest.Machine) [][]byte {
			return uses("boot_aggregate", m.Path("/usr/bin/hi"), "/usr/bin/other", m.Path("/usr/bin/hello"), "/usr/bin/none")
		}, 3, true, []string{"1-" + helloList, "2-" + otherList}},
		"some": {func(m *daemontest.Machine) [][]byte { return uses(otherList) }, 1, false, []string{"0-" + otherList, helloList}},
	} {
		m := machine(t)
		log := test.uses(m)
		o, err := m.OrderSet(t.Context(), by, log, "why")
		if err != nil || o.Matched != test.matched || o.ByFiles != test.byFiles {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		if _, wanted := m.Wants(); !wanted {
			t.Errorf("%s: no comparison is wanted", name)
		}
		m.Sync(t)
		wantLists(t, m, name, test.want...)
		_, err = m.OrderSet(t.Context(), by, log, "why")
		wantCode(t, name+" again", err, api.Unchanged, "already")
		m.Stop()
		m.Start(t)
		m.Sync(t)
		wantLists(t, m, name+", after a restart,", test.want...)
		if err := m.OrderClear(t.Context(), by, "enough"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		m.Sync(t)
		wantLists(t, m, name+", cleared,", helloList, otherList)
		wantCode(t, name+" cleared again", m.OrderClear(t.Context(), by, ""), api.Unchanged, "no list has a number")
	}
}

func TestOrderSetRefuses(t *testing.T) {
	m := machine(t)
	for name, log := range map[string][][]byte{"nothing": nil, "others": uses("boot_aggregate", "/usr/bin/none", "tlv-gone-0:1-1.noarch")} {
		_, err := m.OrderSet(t.Context(), by, log, "")
		wantCode(t, name, err, api.NotFound, "none of these measurements")
	}
	_, err := m.OrderSet(t.Context(), by, uses(helloList), strings.Repeat("r", 1<<20))
	wantCode(t, "too long a reason", err, api.InvalidArgument, "reason")
	m.Sync(t)
	wantLists(t, m, "after refusals", helloList, otherList)
}

// An act that has nothing to do says so, and leaves no record.
func TestActsThatChangeNothing(t *testing.T) {
	needs.Root(t)
	m := machine(t)
	if _, err := m.OrderSet(t.Context(), by, uses(helloList), "why"); err != nil {
		t.Fatal(err)
	}
	if err := m.OrderPrefetch(t.Context(), by, true); err != nil {
		t.Fatal(err)
	}
	if st, err := m.OrderSet(t.Context(), by, uses(otherList), "why"); err != nil || !st.Prefetch {
		t.Errorf("with prefetch, the order is %+v, %v", st, err)
	}
	deny(t, m, "other", "why")
	if err := m.FloorSet(t.Context(), by, "hello", "1-1", "why"); err != nil {
		t.Fatal(err)
	}
	before, entries := m.Durable(t), len(m.Events(t))
	for name, act := range map[string]func() error{
		"restore":  func() error { _, err := m.KeyRestore(t.Context(), by, fingerprint(t, "vendor"), "why"); return err },
		"prefetch": func() error { return m.OrderPrefetch(t.Context(), by, true) },
		"floor":    func() error { return m.FloorSet(t.Context(), by, "hello", "1-1", "another") },
	} {
		wantCode(t, name, act(), api.Unchanged, "")
	}
	m.Commit(t)
	if after := m.Durable(t); after != before || len(m.Events(t)) != entries {
		t.Errorf("the index has\n%s\nand had\n%s", after, before)
	}
	if err := m.OrderPrefetch(t.Context(), by, false); err != nil || m.Snapshot().Prefetch {
		t.Errorf("switched off: %v", err)
	}
}
