// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

// evr reads a version; "" is none.
func evr(t testing.TB, s string) nevra.EVR {
	t.Helper()
	var e nevra.EVR
	if err := e.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return e
}

func bash(e nevra.EVR) nevra.NEVRA { return nevra.NEVRA{Name: "bash", EVR: e, Arch: "x86_64"} }

// refusal is what becomes of a rollback in each mode.
var refusal = map[policy.Mode]policy.Verdict{
	policy.Enforce:  policy.Veto,
	policy.Withhold: policy.WithholdList,
	policy.Audit:    policy.Allow,
}

// line writes a policy.Line in few words; "+" behind an active version is that
// it is there by a grant.
type line struct {
	high, retired, floor string
	multi                bool
	active, grants       []string
}

func (l line) policy(t testing.TB) policy.Line {
	p := policy.Line{High: evr(t, l.high), Retired: evr(t, l.retired), Floor: evr(t, l.floor), Multi: l.multi}
	for _, a := range l.active {
		v, granted := strings.CutSuffix(a, "+")
		p.Active = append(p.Active, policy.Instance{EVR: evr(t, v), Granted: granted})
	}
	for _, g := range l.grants {
		p.Grants = append(p.Grants, evr(t, g))
	}
	return p
}

// What was withdrawn for an advisory stands again once that says nothing any more, and no grant
// lets it stand meanwhile.
func TestAdmitRetracted(t *testing.T) {
	old := evr(t, "2-1")
	for _, granted := range []bool{false, true} {
		l := policy.Line{High: evr(t, "3-1"), Active: []policy.Instance{{EVR: old, Granted: granted, Retracted: true}}}
		if d := policy.Admit(policy.Enforce, l, bash(old)); d.Verdict != policy.Allow || d.Reason != policy.ReasonActive {
			t.Errorf("forgotten, by a grant %v: %+v", granted, d)
		}
		l.Advised = &policy.Advised{EVR: evr(t, "3-1"), Text: "VSA-1 fixes it"}
		if d := policy.Admit(policy.Enforce, l, bash(old)); d.Verdict != policy.Veto || d.Reason != policy.ReasonAdvisory {
			t.Errorf("by a grant %v: %+v", granted, d)
		}
		if l.Active[0].Retracted = false; policy.Admit(policy.Enforce, l, bash(old)).Reason != policy.ReasonActive {
			t.Errorf("what is active goes at once, by a grant %v", granted)
		}
	}
}

func TestAdmit(t *testing.T) {
	one, kernel := line{high: "3-1", active: []string{"3-1"}}, line{multi: true, high: "5-1", retired: "3-1", active: []string{"4-1", "5-1"}}
	with := func(l line, change func(*line)) line { change(&l); return l }
	for _, tc := range []struct {
		name    string
		line    line
		version string
		want    policy.Reason // "": nothing speaks against it
	}{
		{"never seen", line{}, "1-1", ""},
		{"never seen, several versions", line{multi: true}, "1-1", ""},

		{"newer", one, "4-1", ""},
		{"newer by release", one, "3-2", ""},
		{"newer by epoch alone", one, "1:0-0", ""},
		{"there already", one, "3-1", policy.ReasonActive},
		{"older", one, "2-1", policy.ReasonRollback},
		{"older by release", one, "3-0", policy.ReasonRollback},
		{"release candidate of what was there", one, "3~rc1-1", policy.ReasonRollback},
		{"older by epoch alone", with(one, func(l *line) { l.high = "1:1-1" }), "9-9", policy.ReasonRollback},
		{"removed, the same again", line{high: "3-1", retired: "3-1"}, "3-1", ""},
		{"removed, an older one", line{high: "3-1", retired: "3-1"}, "2-1", policy.ReasonRollback},
		{"written otherwise, to rpm the same", line{high: "3.0-1", retired: "3.0-1"}, "3_0-01", ""},
		{"what was retired does not count", line{high: "3-1", retired: "9-1"}, "3-1", ""},

		{"granted", with(one, func(l *line) { l.grants = []string{"2-1"} }), "2-1", policy.ReasonGranted},
		{"granted, among others", with(one, func(l *line) { l.grants = []string{"1-1", "2-1"} }), "2-1", policy.ReasonGranted},
		{"granted, but another one", with(one, func(l *line) { l.grants = []string{"2-1"} }), "1-1", policy.ReasonRollback},
		{"granted, but another release", with(one, func(l *line) { l.grants = []string{"2-1"} }), "2-2", policy.ReasonRollback},
		{"granted needlessly", with(one, func(l *line) { l.grants = []string{"4-1"} }), "4-1", policy.ReasonGranted},
		{"there by a grant", with(one, func(l *line) { l.active = []string{"2-1+"} }), "2-1", policy.ReasonActive},
		{"there before it was known that it is old", with(one, func(l *line) { l.active = []string{"2-1"} }), "2-1", policy.ReasonActive},

		{"below the floor", line{floor: "3-1"}, "2-1", policy.ReasonRollbackFloor},
		{"on the floor", line{floor: "3-1"}, "3-1", ""},
		{"above the floor", line{floor: "3-1"}, "3-2", ""},
		{"above the floor, still older", line{floor: "1-1", high: "3-1"}, "2-1", policy.ReasonRollback},
		{"below the floor, newer than all", with(one, func(l *line) { l.floor = "5-1" }), "4-1", policy.ReasonRollbackFloor},
		{"below the floor, granted since", with(one, func(l *line) { l.floor, l.grants = "5-1", []string{"2-1"} }), "2-1", policy.ReasonGranted},
		{"active below the floor", with(one, func(l *line) { l.floor = "5-1" }), "3-1", policy.ReasonRollbackFloor},
		{"active below the floor by a grant", with(one, func(l *line) { l.floor, l.active = "5-1", []string{"3-1+"} }), "3-1", policy.ReasonActive},
		{"active on the floor", with(one, func(l *line) { l.floor = "3-1" }), "3-1", policy.ReasonActive},

		{"kernel: newer", kernel, "6-1", ""},
		{"kernel: between, never retired", kernel, "4.5-1", ""},
		{"kernel: above all that was retired", kernel, "3-2", ""},
		{"kernel: there already", kernel, "4-1", policy.ReasonActive},
		{"kernel: what was retired", kernel, "3-1", policy.ReasonRollbackRetired},
		{"kernel: older than what was retired", kernel, "2-1", policy.ReasonRollbackRetired},
		{"kernel: active, though older than what was retired", with(kernel, func(l *line) { l.retired = "5-1" }), "4-1", policy.ReasonActive},
		{"kernel: to rpm the same as what was retired", kernel, "03-1", policy.ReasonRollbackRetired},
		{"kernel: retired, granted", with(kernel, func(l *line) { l.grants = []string{"3-1"} }), "3-1", policy.ReasonGranted},
		{"kernel: below the floor", with(kernel, func(l *line) { l.floor = "4.9-1" }), "4.5-1", policy.ReasonRollbackFloor},
		{"kernel: active below the floor", with(kernel, func(l *line) { l.floor = "4.9-1" }), "4-1", policy.ReasonRollbackFloor},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := evr(t, tc.version)
			for mode, verdict := range refusal {
				want := policy.Decision{Reason: tc.want, Grant: tc.want == policy.ReasonGranted}
				if tc.want.Rollback() {
					want.Verdict = verdict
				}
				l := tc.line.policy(t)
				got := policy.Admit(mode, l, bash(e))
				text := got.Text
				got.Text = ""
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%v (-want +got):\n%s", mode, diff)
				}
				if tc.want.Rollback() != strings.Contains(text, "digestctl rollback grant "+bash(e).String()) {
					t.Errorf("%v says %q", mode, text)
				}
				if diff := cmp.Diff(tc.line.policy(t), l); diff != "" {
					t.Errorf("the decision changed the line:\n%s", diff)
				}
			}
		})
	}
}

func TestAdmitSaysWhy(t *testing.T) {
	for _, tc := range []struct {
		line line
		want string
	}{
		{line{high: "5.2-3"}, "bash-5.1-2.x86_64 is older than 5.2-3, which was active here; to permit it once: digestctl rollback grant bash-5.1-2.x86_64 --reason WHY"},
		{line{high: "1:5.0-1"}, "bash-5.1-2.x86_64 is older than 1:5.0-1, which was active here; to permit it once: digestctl rollback grant bash-5.1-2.x86_64 --reason WHY"},
		{line{floor: "5.2-1"}, "bash-5.1-2.x86_64 is below the floor 5.2-1 that was set for it; to permit it once: digestctl rollback grant bash-5.1-2.x86_64 --reason WHY"},
		{line{multi: true, retired: "5.1-2"}, "bash-5.1-2.x86_64 is not newer than 5.1-2, which was removed from here; to permit it once: digestctl rollback grant bash-5.1-2.x86_64 --reason WHY"},
	} {
		if got := policy.Admit(policy.Enforce, tc.line.policy(t), bash(evr(t, "5.1-2"))).Text; got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

func TestAdmitTransaction(t *testing.T) {
	lines := map[string]policy.Line{"bash": line{high: "3-1", active: []string{"3-1"}}.policy(t)}
	el := func(typ policy.ElementType, name, version string) policy.Element {
		return policy.Element{Type: typ, NEVRA: nevra.NEVRA{Name: name, EVR: evr(t, version), Arch: "noarch"}}
	}
	elements := []policy.Element{
		el(policy.Removed, "bash", "3-1"), el(policy.Added, "bash", "2-1"), el(policy.Other, "bash", "1-1"),
		el(policy.Added, "vim", "1-1"), el(policy.Added, "bash", "4-1"),
	}
	got := policy.AdmitTransaction(policy.Enforce, elements, func(pkg nevra.NEVRA) policy.Line { return lines[pkg.Name] })
	var verdicts []string
	for _, d := range got {
		verdicts = append(verdicts, d.NEVRA.String()+" "+d.Verdict.String())
	}
	want := []string{"bash-2-1.noarch veto", "vim-1-1.noarch allow", "bash-4-1.noarch allow"}
	if diff := cmp.Diff(want, verdicts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// No mode and no line lets a package take away the keys that rpm trusts.
func TestKeysAreNotTakenAway(t *testing.T) {
	key := nevra.NEVRA{Name: policy.KeyName, EVR: evr(t, "7c52276e-6b0afb73")}
	posing := nevra.NEVRA{Name: policy.KeyName, EVR: evr(t, "99999999-1"), Arch: "noarch"}
	vim, bash := nevra.NEVRA{Name: "vim", EVR: evr(t, "1-1"), Arch: "noarch"}, bash(evr(t, "1-1"))
	for name, tc := range map[string]struct {
		elements []policy.Element
		want     string
	}{
		"a package of that name":      {[]policy.Element{{Type: policy.Added, NEVRA: posing}, {Type: policy.Removed, NEVRA: key}}, "veto"},
		"the same, and nothing to go": {[]policy.Element{{Type: policy.Added, NEVRA: posing}, {Type: policy.Added, NEVRA: vim}}, "veto allow"},
		"one that obsoletes keys":     {[]policy.Element{{Type: policy.Added, NEVRA: vim}, {Type: policy.Added, NEVRA: bash}, {Type: policy.Removed, NEVRA: key}}, "veto allow"},
		"a key is erased alone":       {[]policy.Element{{Type: policy.Removed, NEVRA: key}}, ""},
		"a key that is only there":    {[]policy.Element{{Type: policy.Added, NEVRA: vim}, {Type: policy.Other, NEVRA: key}}, "allow"},
	} {
		for _, mode := range []policy.Mode{policy.Enforce, policy.Withhold, policy.Audit} {
			var got []string
			for _, d := range policy.AdmitTransaction(mode, tc.elements, func(nevra.NEVRA) policy.Line { return policy.Line{} }) {
				got = append(got, d.Verdict.String())
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("%s in mode %s: %q, want %q", name, mode, got, tc.want)
			}
		}
	}
}

func TestAssured(t *testing.T) {
	retired := line{high: "3-1", retired: "2-1"}
	for name, tc := range map[string]struct {
		mode    policy.Mode
		line    line
		adds    string
		revoked bool
		want    bool
	}{
		"nothing known":               {policy.Enforce, line{}, "1-1", false, true},
		"upgrade":                     {policy.Enforce, line{high: "1-1", active: []string{"1-1"}}, "2-1", false, true},
		"a key is revoked":            {policy.Enforce, line{}, "1-1", true, false},
		"the header may say multi":    {policy.Enforce, line{high: "2-1", retired: "2-1"}, "2-1", false, false},
		"multi, and newer":            {policy.Enforce, retired, "3-1", false, true},
		"a key is revoked, withhold":  {policy.Withhold, line{}, "1-1", true, true},
		"a key is revoked, audit":     {policy.Audit, line{}, "1-1", true, true},
		"older, which is only warned": {policy.Withhold, line{high: "2-1"}, "1-1", false, true},
	} {
		elements := []policy.Element{
			{Type: policy.Removed, NEVRA: bash(evr(t, "0-1"))},
			{Type: policy.Added, NEVRA: bash(evr(t, tc.adds))},
		}
		got := policy.Assured(tc.mode, elements, tc.revoked, func(nevra.NEVRA) policy.Line { return tc.line.policy(t) })
		if got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestKeep(t *testing.T) {
	for verdict, want := range map[policy.Verdict]policy.Verdict{
		policy.Allow: policy.Allow, policy.WithholdList: policy.WithholdList, policy.Veto: policy.WithholdList,
	} {
		d := policy.Decision{Verdict: verdict, Reason: policy.ReasonDenied, Text: "why"}
		if got := d.Keep(); got.Verdict != want || got.Reason != d.Reason || got.Text != d.Text {
			t.Errorf("%v: %+v", verdict, got)
		}
	}
}
