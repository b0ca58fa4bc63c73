// SPDX-License-Identifier: Apache-2.0

package failpoint

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of events and effects into docs/architecture.md")

// TestDocs: docs/architecture.md has the tables as the code has them.
func TestDocs(t *testing.T) {
	const page, begin, end = "../../docs/architecture.md", "by make docs from daemon/failpoint/events.go -->\n", "<!-- end of events -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the tables", page)
	}
	want := before + begin + Table() + end + after
	if string(text) == want {
		return
	}
	if !*update {
		t.Fatalf("the tables in %s are out of date: make docs", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestInstants: each effect of an event has its instants, in order, and what is in no
// event is refused.
func TestInstants(t *testing.T) {
	e, known := Find("moved")
	want := []Instant{BeforeWithdraw, BetweenWithdrawals, AfterWithdraw, BeforeSync, BeforeCommit, AfterCommit, "between-labels"}
	if got := e.Instants(); !known || !slices.Equal(got, want) {
		t.Errorf("moved has %v", got)
	}
	for instant, right := range map[Instant]bool{BeforeSync: true, "between-labels": true, BeforePublish: false, "": false} {
		if err := Check("moved", instant); (err == nil) != right {
			t.Errorf("%q: %v", instant, err)
		}
	}
	if Check("nothing", BeforeSync) == nil {
		t.Error("an event that is not there has an instant")
	}
	all := map[string]bool{}
	for _, e := range Events {
		for _, x := range e.Effects {
			if !slices.ContainsFunc(Effects, func(d Described) bool { return d.Effect == x }) {
				t.Errorf("%s has an effect %q", e.Name, x)
			}
		}
		for _, i := range e.Instants() {
			if name := Name(e.Name, i); all[name] {
				t.Errorf("%s is there twice", name)
			} else {
				all[name] = true
			}
		}
	}
}
