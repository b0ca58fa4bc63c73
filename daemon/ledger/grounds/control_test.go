// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"testing"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

func evr(version, release string) nevra.EVR { return nevra.EVR{Version: version, Release: release} }

// TestUsesGrant: a grant is used by the package of that version alone, in an open transaction.
func TestUsesGrant(t *testing.T) {
	addition := func(text string, grant bool) *state.Addition {
		return &state.Addition{Candidate: &view.Candidate{Pkg: parsed(text)}, Decision: policy.Decision{Grant: grant}}
	}
	s := with(state.Settings{})
	s.Open[&state.Transaction{}] = true
	s.Open[&state.Transaction{Added: map[record.Digest]*state.Addition{
		{1}: addition("bash-0:1-1.noarch", true), {2}: addition("vim-0:1-1.noarch", false)}}] = true
	for _, test := range []struct {
		name, arch string
		evr        nevra.EVR
		want       bool
	}{
		{"bash", "noarch", evr("1", "1"), true}, {"bash", "noarch", evr("1", "2"), false}, {"bash", "x86_64", evr("1", "1"), false},
		{"vim", "noarch", evr("1", "1"), false}, {"other", "noarch", evr("1", "1"), false},
	} {
		if got := s.UsesGrant(view.LineID{Name: test.name, Arch: test.arch}, test.evr); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestRaiseFloor: the floor voids the grants of what is below it, and says who set it.
func TestRaiseFloor(t *testing.T) {
	granted := func(e *view.Entry) { e.Granted = true }
	s := with(state.Settings{}, listOf("bash", "1-1", granted), listOf("bash", "2-1", granted), listOf("bash", "1-0"), listOf("vim", "1-1", granted))
	id := view.LineID{Name: "bash", Arch: "noarch"}
	s.SetLine(record.Line{Name: "bash", Arch: "noarch", High: evr("2", "1"), Counter: 9, Grants: []record.Grant{{EVR: evr("1", "5")}, {EVR: evr("3", "1")}}})
	s.Queue = state.Records{}
	by := record.Act{UID: 5, PID: 6, Reason: "a hole", When: noon}
	wants(t, event(t, s, func() { s.RaiseFloor(id, evr("2", "1"), by) }),
		"lists tlv-bash-0:1-1.noarch active", "lines bash.noarch", "log floor-set bash.noarch 0:2-1")
	l := s.Lines[id]
	if l.Floor != evr("2", "1") || l.FloorBy == nil || *l.FloorBy != by || l.High != evr("2", "1") || l.Counter != 9 || len(l.Grants) != 1 || l.Grants[0].EVR != evr("3", "1") {
		t.Errorf("the line is %+v", l)
	}
	if e := s.ByName["tlv-bash-0:1-1.noarch"]; e.Granted || !e.Void || !e.Active() {
		t.Errorf("what was granted below is %+v", e.List)
	}
	for _, name := range []string{"tlv-bash-0:2-1.noarch", "tlv-vim-0:1-1.noarch"} {
		if e := s.ByName[name]; !e.Granted || e.Void {
			t.Errorf("%s is %+v", name, e.List)
		}
	}
	if e := s.Queue.Events[0]; e.Text != "a hole" || e.UID != 5 || e.PID != 6 {
		t.Errorf("the log has %+v", e)
	}
}

// TestBelowFloors: the active lists of that name, and own lists that were imported as the
// header of a version below.
func TestBelowFloors(t *testing.T) {
	own := func(e *view.Entry) { e.Own = e.Package.Name }
	entries := []*view.Entry{
		listOf("bash", "1-1"), listOf("bash", "2-1"), listOf("bash", "1-2", withheld), listOf("bash", "1-3", func(e *view.Entry) { e.Granted = true }),
		listOf("vim", "1-1"), listOf("app", "1-1", own), listOf("app2", "1-1", own),
	}
	floored := func(mode policy.Mode) *Grounds {
		s := with(state.Settings{Mode: mode, Multi: []string{"bash"}}, entries...)
		for _, name := range []string{"bash", "vim"} {
			s.SetLine(record.Line{Name: name, Arch: "noarch", Floor: evr("2", "1"), High: evr("2", "1")})
		}
		s.SetOwn(record.Own{Name: "app", Package: "bash-0:1-1.noarch"})
		s.SetOwn(record.Own{Name: "app2", Package: "bash-0:2-1.noarch"})
		return s
	}
	for mode, want := range map[policy.Mode][]string{
		policy.Enforce:  {"tlv-app-0:1-1.noarch rollback-floor", "tlv-bash-0:1-1.noarch rollback-floor"},
		policy.Withhold: {"tlv-app-0:1-1.noarch rollback-floor", "tlv-bash-0:1-1.noarch rollback-floor"},
		policy.Audit:    nil,
	} {
		s := floored(mode)
		// A list that was imported as the header of an active version is allowed as that is.
		s.Forget("tlv-bash-0:1-1.noarch")
		s.Put(listOf("bash", "1-1", func(e *view.Entry) { e.Grace = "boot" }))
		var got []string
		for _, x := range s.BelowFloors("bash") {
			got = append(got, x.Entry.Name+" "+string(x.Decision.Reason))
		}
		wants(t, got, want...)
	}
}
