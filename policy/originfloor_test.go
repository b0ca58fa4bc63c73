// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist/nevra"
)

// TestOriginFloors: floors of origins add to the administrator's and never lower it.
func TestOriginFloors(t *testing.T) {
	version := func(v string) nevra.EVR { return nevra.EVR{Version: v, Release: "1"} }
	floor := func(origin, arch, v string) OriginFloor {
		return OriginFloor{Package: "hello", Arch: arch, EVR: version(v), Origin: origin}
	}
	keep := func(origin, v string) OriginFloor {
		return OriginFloor{Package: "hello", EVR: version(v), Keep: true, Origin: origin}
	}
	active := func(v string) Line { return Line{High: version(v), Active: []Instance{{EVR: version(v)}}} }
	for name, test := range map[string]struct {
		line   Line
		floors []OriginFloor
		comes  string
		reason Reason
		says   string
	}{
		"none":                       {Line{}, nil, "1", "", ""},
		"below":                      {Line{}, []OriginFloor{floor("policy:a", "", "2")}, "1", ReasonRollbackFloor, "hello-1-1.noarch is below the floor 2-1 that policy:a sets; to permit it once"},
		"not below":                  {Line{}, []OriginFloor{floor("policy:a", "", "2")}, "2", "", ""},
		"another architecture":       {Line{}, []OriginFloor{floor("policy:a", "x86_64", "2")}, "1", "", ""},
		"this architecture":          {Line{}, []OriginFloor{floor("policy:a", "noarch", "2")}, "1", ReasonRollbackFloor, "policy:a"},
		"the highest counts":         {Line{}, []OriginFloor{floor("policy:a", "", "2"), floor("policy:b", "", "3")}, "2", ReasonRollbackFloor, "3-1 that policy:b"},
		"the administrator's higher": {Line{Floor: version("4")}, []OriginFloor{floor("policy:a", "", "2")}, "3", ReasonRollbackFloor, "4-1 that was set for it"},
		"the administrator's lower":  {Line{Floor: version("1")}, []OriginFloor{floor("policy:a", "", "3")}, "2", ReasonRollbackFloor, "3-1 that policy:a"},
		"active below":               {active("1"), []OriginFloor{floor("policy:a", "", "2")}, "1", ReasonRollbackFloor, ""},
		"active below, kept":         {active("1"), []OriginFloor{keep("policy:a", "2")}, "1", ReasonActive, ""},
		"comes below one that keeps": {Line{}, []OriginFloor{keep("policy:a", "2"), keep("policy:b", "3"), keep("policy:c", "1")}, "2", ReasonRollbackFloor, "3-1 that policy:b sets"},
		"granted":                    {Line{Grants: []nevra.EVR{version("1")}}, []OriginFloor{floor("policy:a", "", "2")}, "1", ReasonGranted, ""},
	} {
		line := NewOriginFloors(test.floors).Raise(test.line, "hello", "noarch")
		d := Admit(Enforce, line, nevra.NEVRA{Name: "hello", EVR: version(test.comes), Arch: "noarch"})
		if d.Reason != test.reason || !strings.Contains(d.Text, test.says) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	beside := Line{}.Beside(NewOriginFloors([]OriginFloor{floor("policy:a", "", "2")}).Raise(Line{}, "hello", "noarch"))
	if beside.FloorBy != "policy:a" {
		t.Errorf("beside another line: %+v", beside)
	}
}

// TestManyOriginFloors: a decision takes some microseconds where there are 100,000 floors.
func TestManyOriginFloors(t *testing.T) {
	var all []OriginFloor
	for i := range 100_000 {
		all = append(all, OriginFloor{Package: fmt.Sprintf("package-%d", i), EVR: nevra.EVR{Version: "2", Release: "1"}, Origin: "policy:many"})
	}
	floors := NewOriginFloors(all)
	pkg := nevra.NEVRA{Name: "package-50000", EVR: nevra.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
	const decisions = 10_000
	began := time.Now()
	for range decisions {
		if d := Admit(Enforce, floors.Raise(Line{}, pkg.Name, pkg.Arch), pkg); d.Verdict != Veto {
			t.Fatal(d)
		}
	}
	if each := time.Since(began) / decisions; each > 200*time.Microsecond { // some 2 µs on a quiet machine
		t.Errorf("a decision takes %v", each)
	}
}
