// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// downgraded is a machine on which version 1-1 of hello took the place of 2-1, and is
// withheld for that.
func downgraded(t *testing.T) *daemontest.Machine {
	t.Helper()
	m := machine(t)
	old, next := version(t, "hello", "1-1"), version(t, "hello", "2-1")
	m.Erase(t, old)
	m.Install(t, next)
	m.Sync(t)
	m.Erase(t, next)
	m.Install(t, old)
	m.Sync(t)
	wantLists(t, m, "after a downgrade", otherList)
	return m
}

// A grant lets one version come, once: after it was used it is gone.
func TestRollbackGrant(t *testing.T) {
	m := downgraded(t)
	g, err := m.RollbackGrant(t.Context(), by, "hello-1-1.noarch", "ticket 1")
	if err != nil || g.Package != "hello-0:1-1.noarch" || g.UID != by.UID || g.Reason != "ticket 1" || time.Since(g.When) > time.Hour {
		t.Fatalf("%+v, %v", g, err)
	}
	if reason, wanted := m.Wants(); !wanted {
		t.Errorf("no comparison is wanted: %q", reason)
	}
	_, err = m.RollbackGrant(t.Context(), by, "hello-1-1.noarch", "ticket 2")
	wantCode(t, "twice", err, api.Unchanged, "has an unused grant already")
	m.Stop()
	m.Start(t)
	m.Sync(t)
	wantLists(t, m, "granted, after a restart,", helloList, otherList)
	if found, err := m.Show(t.Context(), "hello"); err != nil || !found[0].Granted {
		t.Errorf("the list is %+v, %v", found, err)
	}
	wantCode(t, "taken back after its use", m.RollbackRevoke(t.Context(), by, "hello-1-1.noarch"), api.NotFound, "no unused grant")
	if got := log(t, m, "granted", "grant-used"); len(got) != 2 || got[0] != "granted hello-0:1-1.noarch ticket 1 7" || !strings.HasPrefix(got[1], "grant-used hello-0:1-1.noarch") {
		t.Errorf("the log has %q", got)
	}
}

// A grant that is taken back before its use lets nothing come.
func TestRollbackRevoke(t *testing.T) {
	m := downgraded(t)
	if _, err := m.RollbackGrant(t.Context(), by, "hello-1-1.noarch", ""); err != nil {
		t.Fatal(err)
	}
	if err := m.RollbackRevoke(t.Context(), by, "hello-1-1.noarch"); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantLists(t, m, "with the grant taken back", otherList)
	for name, code := range map[string]api.Code{"hello-1-1.noarch": api.NotFound, "none-1-1.noarch": api.NotFound, "hello": api.InvalidArgument} {
		wantCode(t, name, m.RollbackRevoke(t.Context(), by, name), code, "")
	}
}

func TestRollbackGrantRefuses(t *testing.T) {
	m := downgraded(t)
	deny(t, m, "other<1-1", "why")
	m.Own(t, "app", 0, daemontest.Body(t, digestlist.SHA256, map[string]string{"/opt/app": "one"}))
	memory := m.Memory(t)
	for text, says := range map[string]string{
		"":                 "is not a package version",
		"hello":            "is not a package version",
		"hello-1-1":        "is not a package version",
		"own:app":          "is not a package version",
		"hello-2-1.noarch": "needs no grant",
		"hello-3-1.noarch": "needs no grant",
		"none-1-1.noarch":  "needs no grant",
		"other-0-1.noarch": "no grant can admit it",
	} {
		_, err := m.RollbackGrant(t.Context(), by, text, "")
		wantCode(t, text, err, api.InvalidArgument, says)
	}
	_, err := m.RollbackGrant(t.Context(), by, "hello-1-1.noarch", strings.Repeat("r", 1<<20))
	wantCode(t, "too long a reason", err, api.InvalidArgument, "reason")
	if got := m.Memory(t); got != memory {
		t.Errorf("memory is\n%s\nand was\n%s", got, memory)
	}
}

// A grant on whose strength a list is published cannot be taken back before the end of
// the transaction: it would be neither used nor there.
func TestGrantInUse(t *testing.T) {
	m := downgraded(t)
	if _, err := m.RollbackGrant(t.Context(), by, "hello-1-1.noarch", ""); err != nil {
		t.Fatal(err)
	}
	pkg := version(t, "hello", "1-1").NEVRA
	txn := state.Transaction{Added: map[record.Digest]*state.Addition{{1}: {Candidate: &view.Candidate{Pkg: pkg}, Decision: policy.Decision{Grant: true}}}}
	m.Enter(t, func(s *ledger.Ledger) { s.Open[&txn] = true })
	wantCode(t, "in use", m.RollbackRevoke(t.Context(), by, "hello-1-1.noarch"), api.Busy, "a running transaction uses the grant")
	m.Enter(t, func(s *ledger.Ledger) { delete(s.Open, &txn) })
	if err := m.RollbackRevoke(t.Context(), by, "hello-1-1.noarch"); err != nil {
		t.Error(err)
	}
}

// No list of a version below a floor is in the directory once the floor is answered, also
// not one that was granted; without the floor it returns.
func TestFloor(t *testing.T) {
	for _, pkg := range []string{"hello", "hello.noarch"} {
		m := machine(t)
		if err := m.FloorSet(t.Context(), by, pkg, "1-2", "CVE-1"); err != nil {
			t.Fatal(err)
		}
		for _, when := range []string{"at once", "after a restart", "after a comparison"} {
			wantLists(t, m, "with a floor of "+pkg+", "+when+",", otherList)
			m.Stop()
			m.Start(t)
			if when == "after a restart" {
				m.Sync(t)
			}
		}
		wantCode(t, "the same again", m.FloorSet(t.Context(), by, pkg, "1-2", "CVE-1"), api.Unchanged, "is 0:1-2 already")
		if err := m.FloorSet(t.Context(), by, pkg, "1-1", "less"); err != nil {
			t.Errorf("a lower floor: %v", err)
		}
		m.Sync(t)
		wantLists(t, m, "with a lower floor", helloList, otherList)
		if err := m.FloorSet(t.Context(), by, pkg, "1-2", "CVE-1"); err != nil {
			t.Fatal(err)
		}
		if err := m.FloorClear(t.Context(), by, pkg, "enough"); err != nil {
			t.Fatal(err)
		}
		m.Sync(t)
		wantLists(t, m, "without the floor", helloList, otherList)
		wantCode(t, "cleared twice", m.FloorClear(t.Context(), by, pkg, ""), api.NotFound, "has no floor")
		if got := log(t, m, "floor-cleared"); !slices.Contains(got, "floor-cleared "+pkg+" enough 7") {
			t.Errorf("the log has %q", got)
		}
	}
}

// A floor voids the grants of what lies below it.
func TestFloorVoidsGrants(t *testing.T) {
	m := downgraded(t)
	if _, err := m.RollbackGrant(t.Context(), by, "hello-1-1.noarch", ""); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantLists(t, m, "granted,", helloList, otherList)
	if err := m.FloorSet(t.Context(), by, "hello", "2-1", ""); err != nil {
		t.Fatal(err)
	}
	wantLists(t, m, "with a floor above it", otherList)
	if err := m.FloorClear(t.Context(), by, "hello", ""); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantLists(t, m, "without the floor, as before the grant,", otherList)
}

func TestFloorRefuses(t *testing.T) {
	m := machine(t)
	next := version(t, "epochal", "1:1-1")
	m.Install(t, version(t, "epochal", "1-1"), next)
	m.Sync(t)
	memory := m.Memory(t)
	for name, test := range map[string]struct {
		pkg, evr, reason string
		code             api.Code
		says             string
	}{
		"no version":        {"hello", "", "", api.InvalidArgument, "is not a version"},
		"a bad version":     {"hello", "1:2:3", "", api.InvalidArgument, "is not a version"},
		"an unknown name":   {"none", "1-1", "", api.NotFound, "none"},
		"no name":           {"", "1-1", "", api.NotFound, ""},
		"several epochs":    {"epochal", "2-1", "", api.InvalidArgument, "several epochs"},
		"too long a reason": {"hello", "1-1", strings.Repeat("r", 1<<20), api.InvalidArgument, "reason"},
	} {
		wantCode(t, name, m.FloorSet(t.Context(), by, test.pkg, test.evr, test.reason), test.code, test.says)
	}
	if got := m.Memory(t); got != memory {
		t.Errorf("memory is\n%s\nand was\n%s", got, memory)
	}
	// If a package has one epoch, a version without an epoch has that one.
	m.Erase(t, version(t, "epochal", "1-1"))
	m.Sync(t)
	if err := m.FloorSet(t.Context(), by, "epochal", "1-2", ""); err != nil {
		t.Fatal(err)
	}
	floors, err := m.Floors(t.Context())
	if err != nil || !slices.ContainsFunc(floors, func(f api.Floor) bool { return f.Package == "epochal" && f.EVR == "1:1-2" }) {
		t.Errorf("the floors are %+v, %v", floors, err)
	}
	wantCode(t, "cleared for one architecture", m.FloorClear(t.Context(), by, "epochal.noarch", ""), api.InvalidArgument, "is for every architecture")
	wantCode(t, "cleared of what is unknown", m.FloorClear(t.Context(), by, "none", ""), api.NotFound, "")
}
