// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// story is a line that lives through what a machine does.
type story struct {
	t    *testing.T
	mode policy.Mode
	policy.Line
	next uint64
}

// Each verb does what the daemon does of it and says what came of it.
func (s *story) do(step string) string {
	s.t.Helper()
	verb, arg, _ := strings.Cut(step, " ")
	e := evr(s.t, arg)
	switch verb {
	case "install": // of a package with one version, what it replaces goes
		d := policy.Admit(s.mode, s.Line, bash(e))
		if d.Verdict == policy.Veto {
			return string(d.Reason)
		}
		old := slices.Clone(s.Active)
		if d.Verdict == policy.Allow {
			s.next++
			s.Line = s.Activate(e, s.next)
		}
		for _, a := range old {
			if !s.Multi && a.EVR != e {
				s.Line = s.Retire(a.EVR)
			}
		}
		return string(d.Reason)
	case "remove":
		s.Line = s.Retire(e)
	case "grant":
		s.Line = s.AddGrant(e)
	case "revoke":
		s.Line = s.RemoveGrant(e)
	case "floor":
		s.Line = s.SetFloor(e)
	case "unfloor":
		s.Line = s.ClearFloor()
	default:
		s.t.Fatalf("no verb %q", verb)
	}
	return ""
}

func (s *story) state() string {
	var parts []string
	for _, v := range []struct {
		name string
		evr  nevra.EVR
	}{{"high", s.High}, {"retired", s.Retired}, {"floor", s.Floor}} {
		if !v.evr.IsZero() {
			parts = append(parts, v.name+" "+v.evr.Version)
		}
	}
	for _, a := range s.Active {
		mark := ""
		if a.Granted {
			mark = "+"
		}
		parts = append(parts, "active "+a.EVR.Version+mark)
	}
	for _, g := range s.Grants {
		parts = append(parts, "grant "+g.Version)
	}
	return fmt.Sprintf("%s #%d", strings.Join(parts, ", "), s.Counter)
}

func TestStories(t *testing.T) {
	type step struct{ do, reason, state string }
	for name, tc := range map[string]struct {
		mode  policy.Mode
		multi bool
		steps []step
	}{
		"a downgrade needs a grant, once": {policy.Enforce, false, []step{
			{"install 1-1", "", "high 1, active 1 #1"},
			{"install 2-1", "", "high 2, retired 1, active 2 #2"},
			{"install 1-1", "rollback", "high 2, retired 1, active 2 #2"},
			{"grant 1-1", "", "high 2, retired 1, active 2, grant 1 #2"},
			{"install 1-1", "granted", "high 2, retired 2, active 1+ #3"},
			{"install 1-1", "active", "high 2, retired 2, active 1+ #4"},
			{"install 2-1", "", "high 2, retired 2, active 2 #5"},
			{"install 1-1", "rollback", "high 2, retired 2, active 2 #5"},
		}},
		"a grant is for one version and can be taken back": {policy.Enforce, false, []step{
			{"install 3-1", "", "high 3, active 3 #1"},
			{"grant 1-1", "", "high 3, active 3, grant 1 #1"},
			{"grant 2-1", "", "high 3, active 3, grant 1, grant 2 #1"},
			{"grant 1-1", "", "high 3, active 3, grant 2, grant 1 #1"},
			{"revoke 2-1", "", "high 3, active 3, grant 1 #1"},
			{"install 2-1", "rollback", "high 3, active 3, grant 1 #1"},
			{"install 1-1", "granted", "high 3, retired 3, active 1+ #2"},
		}},
		"removing does not forget": {policy.Enforce, false, []step{
			{"install 2-1", "", "high 2, active 2 #1"},
			{"remove 2-1", "", "high 2, retired 2 #1"},
			{"install 1-1", "rollback", "high 2, retired 2 #1"},
			{"install 2-1", "", "high 2, retired 2, active 2 #2"},
		}},
		"a granted version that was removed needs a new grant": {policy.Enforce, false, []step{
			{"install 2-1", "", "high 2, active 2 #1"},
			{"grant 1-1", "", "high 2, active 2, grant 1 #1"},
			{"install 1-1", "granted", "high 2, retired 2, active 1+ #2"},
			{"remove 1-1", "", "high 2, retired 2 #2"},
			{"install 1-1", "rollback", "high 2, retired 2 #2"},
		}},
		"withheld, the old version is there without a list": {policy.Withhold, false, []step{
			{"install 2-1", "", "high 2, active 2 #1"},
			{"install 1-1", "rollback", "high 2, retired 2 #1"},
			{"install 2-1", "", "high 2, retired 2, active 2 #2"},
		}},
		"audited, it is there with one, and nothing is forgotten": {policy.Audit, false, []step{
			{"install 2-1", "", "high 2, active 2 #1"},
			{"install 1-1", "rollback", "high 2, retired 2, active 1 #2"},
			{"remove 1-1", "", "high 2, retired 2 #2"},
			{"install 1-1", "rollback", "high 2, retired 2, active 1 #3"},
		}},
		"of floor and grant the newest act wins": {policy.Enforce, false, []step{
			{"install 1-1", "", "high 1, active 1 #1"},
			{"floor 3-1", "", "high 1, floor 3, active 1 #1"},
			{"install 1-1", "rollback-floor", "high 1, floor 3, active 1 #1"},
			{"install 2-1", "rollback-floor", "high 1, floor 3, active 1 #1"},
			{"grant 2-1", "", "high 1, floor 3, active 1, grant 2 #1"},
			{"install 2-1", "granted", "high 2, retired 1, floor 3, active 2+ #2"},
			{"install 2-1", "active", "high 2, retired 1, floor 3, active 2+ #3"},
			{"grant 1-1", "", "high 2, retired 1, floor 3, active 2+, grant 1 #3"},
			{"grant 5-1", "", "high 2, retired 1, floor 3, active 2+, grant 1, grant 5 #3"},
			{"floor 3-1", "", "high 2, retired 1, floor 3, active 2, grant 5 #3"},
			{"install 2-1", "rollback-floor", "high 2, retired 1, floor 3, active 2, grant 5 #3"},
			{"install 1-1", "rollback-floor", "high 2, retired 1, floor 3, active 2, grant 5 #3"},
			{"install 3-1", "", "high 3, retired 2, floor 3, active 3, grant 5 #4"},
			{"floor 2-1", "", "high 3, retired 2, floor 2, active 3, grant 5 #4"},
			{"install 2-1", "rollback", "high 3, retired 2, floor 2, active 3, grant 5 #4"},
			{"unfloor", "", "high 3, retired 2, active 3, grant 5 #4"},
			{"install 1-1", "rollback", "high 3, retired 2, active 3, grant 5 #4"},
		}},
		"kernels live side by side and do not come back": {policy.Enforce, true, []step{
			{"install 1-1", "", "high 1, active 1 #1"},
			{"install 3-1", "", "high 3, active 1, active 3 #2"},
			{"install 2-1", "", "high 3, active 1, active 3, active 2 #3"},
			{"remove 1-1", "", "high 3, retired 1, active 3, active 2 #3"},
			{"install 1-1", "rollback-retired", "high 3, retired 1, active 3, active 2 #3"},
			{"remove 3-1", "", "high 3, retired 3, active 2 #3"},
			{"install 2-1", "active", "high 3, retired 3, active 2 #4"},
			{"install 2.5-1", "rollback-retired", "high 3, retired 3, active 2 #4"},
			{"grant 3-1", "", "high 3, retired 3, active 2, grant 3 #4"},
			{"install 3-1", "granted", "high 3, retired 3, active 2, active 3+ #5"},
			{"remove 2-1", "", "high 3, retired 3, active 3+ #5"},
			{"install 4-1", "", "high 4, retired 3, active 3+, active 4 #6"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{t: t, mode: tc.mode, Line: policy.Line{Multi: tc.multi}}
			for i, st := range tc.steps {
				reason := s.do(st.do)
				if reason != st.reason || s.state() != st.state {
					t.Fatalf("step %d, %q: %q and %q, want %q and %q", i+1, st.do, reason, s.state(), st.reason, st.state)
				}
			}
		})
	}
}

// A line is a value: the holder of an older one still has it.
func TestLineIsAValue(t *testing.T) {
	full := line{high: "3-1", retired: "2-1", floor: "1-1", active: []string{"3-1", "2-1+"}, grants: []string{"1-1", "2-1"}}
	for name, change := range map[string]func(l policy.Line, e nevra.EVR) policy.Line{
		"Activate":    func(l policy.Line, e nevra.EVR) policy.Line { return l.Activate(e, 9) },
		"Retire":      policy.Line.Retire,
		"AddGrant":    policy.Line.AddGrant,
		"RemoveGrant": policy.Line.RemoveGrant,
		"SetFloor":    policy.Line.SetFloor,
		"ClearFloor":  func(l policy.Line, _ nevra.EVR) policy.Line { return l.ClearFloor() },
		"Beside":      func(l policy.Line, e nevra.EVR) policy.Line { return l.Beside(policy.Line{High: e, Multi: true}) },
	} {
		for _, v := range []string{"1-1", "2-1", "3-1", "4-1"} {
			before := full.policy(t)
			// Room behind the slices would show a write past their end.
			before.Active, before.Grants = slices.Grow(before.Active, 4), slices.Grow(before.Grants, 4)
			first := change(before, evr(t, v))
			kept := fmt.Sprintf("%+v", first)
			change(before, evr(t, "5-1"))
			if diff := cmp.Diff(full.policy(t), before); diff != "" {
				t.Errorf("%s %s changed its receiver:\n%s", name, v, diff)
			}
			if now := fmt.Sprintf("%+v", first); now != kept {
				t.Errorf("%s %s: a second change of the same line turned %s into %s", name, v, kept, now)
			}
		}
	}
}

func TestActivateNeverLowersTheCounter(t *testing.T) {
	l := policy.Line{Counter: 7}.Activate(evr(t, "1-1"), 3)
	if l.Counter != 7 {
		t.Errorf("counter %d", l.Counter)
	}
	if l = l.Activate(evr(t, "2-1"), 8); l.Counter != 8 {
		t.Errorf("counter %d", l.Counter)
	}
}

// Versions that rpm considers equal do not change the memory.
func TestEqualVersionsKeepTheFirst(t *testing.T) {
	l := policy.Line{}.Activate(evr(t, "1.0-1"), 1).Activate(evr(t, "1_0-1"), 2)
	if l.High != evr(t, "1.0-1") || len(l.Active) != 2 {
		t.Errorf("%+v", l)
	}
}

func TestBeside(t *testing.T) {
	// bash was noarch up to 3 and is built for x86_64 since 4.
	noarch := line{high: "3-1", retired: "2-1", floor: "1-1", active: []string{"3-1"}, grants: []string{"2-1"}}.policy(t)
	fresh := policy.Line{}
	for _, tc := range []struct {
		name    string
		line    policy.Line
		version string
		want    policy.Reason
	}{
		{"alone", fresh, "2-1", ""},
		{"older beside noarch", fresh.Beside(noarch), "2-1", policy.ReasonRollback},
		{"below the floor of noarch", fresh.Beside(noarch), "0-1", policy.ReasonRollbackFloor},
		{"equal beside noarch", fresh.Beside(noarch), "3-1", ""},
		{"newer beside noarch", fresh.Beside(noarch), "4-1", ""},
		{"own is higher", line{high: "5-1"}.policy(t).Beside(noarch), "4-1", policy.ReasonRollback},
		{"the highest of several", fresh.Beside(noarch, line{high: "6-1"}.policy(t), line{high: "5-1"}.policy(t)), "5-1", policy.ReasonRollback},
		{"several versions beside", fresh.Beside(line{multi: true, high: "9-1", retired: "4-1"}.policy(t)), "4-1", policy.ReasonRollbackRetired},
		{"several versions beside, between", fresh.Beside(line{multi: true, high: "9-1", retired: "4-1"}.policy(t)), "5-1", ""},
		{"own active stays", line{active: []string{"2-1"}}.policy(t).Beside(noarch), "2-1", policy.ReasonActive},
	} {
		if got := policy.Admit(policy.Enforce, tc.line, bash(evr(t, tc.version))).Reason; got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if l := fresh.Beside(noarch); len(l.Active) != 0 || len(l.Grants) != 0 {
		t.Errorf("lists or grants of another architecture came along: %+v", l)
	}
}
