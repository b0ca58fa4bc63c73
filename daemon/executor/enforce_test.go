// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/executor"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/store/record"
)

// enforcer notes what it is told.
type enforcer struct{ m *machine }

func (e enforcer) Admit(list executor.List, old []byte) error {
	what := "admit " + string(list.Content)
	if old != nil {
		what += " for " + string(old)
	}
	return e.m.note(what)
}

func (e enforcer) Expel(lists []executor.List) error {
	what := "expel"
	for _, list := range lists {
		what += " " + string(list.Content)
	}
	return e.m.note(what)
}

func (e enforcer) Doubt() { e.m.note("doubt") }

func (e enforcer) Committed() error { return e.m.note("committed") }

// The enforcer hears of lists once they are gone or there, before that is answered, also
// of one whose file resists and of one that waits to come back.
func TestEnforcer(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"tlv-a", "tlv-b", "tlv-c", "tlv-d", "tlv-e"} {
		m.place(t, name, "old-"+name[4:])
	}
	m.Hooks.Enforcer = enforcer{m}
	m.fail["withdraw tlv-b"] = errDisk
	m.fail["publish tlv-f"] = errDisk
	err := m.Enter(t.Context(), "test", func(s *ledger.Ledger) error {
		withdraw(s, "tlv-a")
		withdraw(s, "tlv-b")
		withdraw(s, "tlv-c")
		s.Plan.Withdraw[2].Kept = func(old record.Staged) { s.Plan.Discard = append(s.Plan.Discard, old) }
		m.publish(t, s, "tlv-d", "new-d")
		m.publish(t, s, "tlv-f", "new-f")
		s.Plan.Publish[0].Then = state.Do(func(state.Published) error { m.note("entered"); return nil })
		s.Plan.Publish[1].Then = state.Do(func(p state.Published) error { return nil })
		s.Record()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"commit", "committed", // the mark
		"withdraw tlv-c", "withdraw tlv-a", "withdraw tlv-b", "expel old-c old-a old-b",
		"publish tlv-d", "admit new-d for old-d", "entered", "publish tlv-f",
		"commit", "committed", "tell withdrawn tlv-a", "tell withdrawn tlv-b", "tell withdrawn tlv-c",
	}
	if !slices.Equal(m.did, want) {
		t.Errorf("done: %q\nwant: %q", m.did, want)
	}
	// A problem names what it could not be told, and keeps nothing else from being done.
	m.fail["admit new-g"] = errDisk
	m.fail["expel old-e"] = errDisk
	m.did = nil
	err = m.Decide(t.Context(), "test", func(s *ledger.Ledger) error {
		withdraw(s, "tlv-e")
		m.publish(t, s, "tlv-g", "new-g")
		return nil
	})
	if err != nil || m.State.ByName["tlv-g"] == nil || m.State.ByName["tlv-e"] != nil || !slices.ContainsFunc(m.State.Problems, problemOf("guard")) {
		t.Errorf("%v, told: %+v", err, m.State.Problems)
	}
}

func problemOf(id string) func(api.Problem) bool {
	return func(p api.Problem) bool { return p.ID == id }
}
