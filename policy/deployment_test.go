// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/digestd/digestd/digestlist/nevra"
)

// TestRetained: in a deployment that the owner kept, that a package is older is no reason
// against it. What somebody decided is one.
func TestRetained(t *testing.T) {
	pkg := nevra.NEVRA{Name: "hello", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
	two := nevra.EVR{Version: "2", Release: "1"}
	for name, c := range map[string]struct {
		line Line
		want Decision
	}{
		"newer": {Line{}, Decision{}},
		"older": {Line{High: two}, Decision{Reason: ReasonRollback,
			Text: "hello-1-1.noarch is older than 2-1, which was active here; it is part of snapshot 7, which the machine was booted into"}},
		"removed": {Line{Multi: true, Retired: pkg.EVR}, Decision{Reason: ReasonRollbackRetired,
			Text: "hello-1-1.noarch is not newer than 1-1, which was removed from here; it is part of snapshot 7, which the machine was booted into"}},
		"advisory": {Line{Advised: &Advised{EVR: two, Text: "ADV-1"}}, Decision{Reason: ReasonAdvisory,
			Text: "hello-1-1.noarch is below 2-1: ADV-1; it is part of snapshot 7, which the machine was booted into"}},
		"floor": {Line{High: two, Floor: two}, Decision{Verdict: Veto, Reason: ReasonRollbackFloor,
			Text: "hello-1-1.noarch is below the floor 2-1 that was set for it; to permit it once: digestctl rollback grant hello-1-1.noarch --reason WHY"}},
		"doubt": {Line{High: two, Doubted: Doubted{Doubt: OtherState, Shown: two}}, Decision{Verdict: Veto, Reason: ReasonOlderState,
			Text: "hello-1-1.noarch is older than 2-1, which is installed, and the TPM does not have the counter that the index was bound to; to bind it again: digestctl anchor rebind --reason WHY"}},
	} {
		if got := Admit(Enforce, c.line, pkg).Retained(pkg, "snapshot 7"); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestOlder(t *testing.T) {
	e := func(v string) nevra.EVR { return nevra.EVR{Version: v, Release: "1"} }
	for name, c := range map[string]struct {
		line Line
		want bool
	}{
		"nothing was active":  {Line{}, false},
		"the same":            {Line{High: e("2")}, false},
		"newer":               {Line{High: e("3")}, true},
		"kernels":             {Line{Multi: true, High: e("3")}, false},
		"a kernel is removed": {Line{Multi: true, High: e("3"), Retired: e("2")}, true},
		"one before it":       {Line{Multi: true, High: e("3"), Retired: e("1")}, false},
	} {
		if got := c.line.Older(e("2")); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
