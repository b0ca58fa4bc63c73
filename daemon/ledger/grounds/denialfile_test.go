// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

var (
	digestA = "sha256:" + strings.Repeat("a1", 32)
	digestB = "sha512:" + strings.Repeat("b2", 64)
)

func because(reason string) record.Act { return record.Act{Reason: reason} }

// Duplicates are merged, within a document and with what is there; each has one
// line that says so.
func TestPlanDenials(t *testing.T) {
	s := with(state.Settings{})
	s.Denied = map[string]record.Denial{
		"d-there":  {ID: "d-there", Package: "openssl", Act: record.Act{Reason: "old", UID: 7}},
		"d-ending": {ID: "d-ending", Digests: []string{digestA}, Expires: noon.Add(time.Hour), Ticket: "T-1", Act: because("old")},
	}
	year := func(n int) time.Time { return time.Date(n, 1, 1, 0, 0, 0, 0, time.UTC) }
	wanted := []record.Denial{
		{Package: "openssl", Act: because("new")},
		{Digests: []string{digestA, digestB}, Ticket: "T-2", Act: because("new")},
		{Digests: []string{digestB}, Act: because("newer")},
		{Package: "bash", Below: "1", Expires: year(2027), Act: because("first")},
		{Package: "bash", Below: "0:1", Expires: year(2028), Act: because("second")},
		{Package: "vim", Expires: year(2020), Act: because("over")},
	}
	plan, err := s.PlanDenials(wanted, record.Act{UID: 5, When: noon})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range plan {
		got = append(got, fmt.Sprintf("%s %s %s %q %q %d %v", p.Action, p.Package, p.Contents, p.Record.Reason, p.Record.Ticket, p.Record.UID, p.Record.Expires.Year()))
	}
	wants(t, got,
		`same openssl [] "old" "" 7 1`,
		fmt.Sprintf(`merged  [%s %s] "old" "T-1, T-2" 0 1`, digestA, digestB),
		`added bash<1 [] "first" "" 5 2028`,
		`expired vim [] "over" "" 0 2020`,
	)
	// Carried out, it is what is there.
	for _, p := range plan {
		if p.Action == api.DenialAdded || p.Action == api.DenialMerged {
			s.SetDenial(p.Record)
		}
	}
	plan, err = s.PlanDenials(wanted, record.Act{UID: 5, When: noon})
	if err != nil || slices.ContainsFunc(plan, func(p view.Planned) bool { return p.Action != api.DenialSame && p.Action != api.DenialExpired }) {
		t.Errorf("again: %v, %+v", err, plan)
	}
}

// A document says since when something is denied, but not that it is from tomorrow.
func TestPlannedDenialBegins(t *testing.T) {
	for name, test := range map[string]struct{ said, want time.Time }{
		"not said":  {time.Time{}, noon},
		"yesterday": {noon.AddDate(0, 0, -1), noon.AddDate(0, 0, -1)},
		"tomorrow":  {noon.AddDate(0, 0, 1), noon},
	} {
		s := with(state.Settings{})
		plan, err := s.PlanDenials([]record.Denial{{Package: "bash", Act: record.Act{Reason: "r", When: test.said}}}, record.Act{UID: 5, PID: 6, When: noon})
		if err != nil || len(plan) != 1 {
			t.Fatal(plan, err)
		}
		if r := plan[0].Record; !r.When.Equal(test.want) || r.UID != 5 || r.PID != 6 || r.ID == "" || r.ID != plan[0].ID || plan[0].By != "uid 5" {
			t.Errorf("%s: %+v, by %s", name, plan[0], plan[0].By)
		}
	}
}

// A denial that is refused leaves no plan.
func TestPlanDenialsRefuses(t *testing.T) {
	s := with(state.Settings{})
	if plan, err := s.PlanDenials([]record.Denial{{Package: "bash"}, {Digests: []string{"bash"}}}, record.Act{}); err == nil || plan != nil {
		t.Errorf("a digest that is none: %v, %v", plan, err)
	}
	for i := range api.MaxDenials {
		id := fmt.Sprintf("d-%d", i)
		s.Denied[id] = record.Denial{ID: id, Package: fmt.Sprintf("p%d", i)}
	}
	var refused *api.Error
	if plan, err := s.PlanDenials([]record.Denial{{Package: "one-more"}}, record.Act{}); !errors.As(err, &refused) || refused.Code != api.Failed || plan != nil {
		t.Errorf("one more: %v, %v", plan, err)
	}
	if plan, err := s.PlanDenials([]record.Denial{{Package: "p7"}}, record.Act{}); err != nil || plan[0].Action != api.DenialSame {
		t.Errorf("one that is there: %v, %v", plan, err)
	}
	if len(s.Denied) != api.MaxDenials || !s.Queue.Empty() {
		t.Error("a plan changed something")
	}
}

// Of many denials of one document the log has the first 200, and how many more there are.
func TestCarryPlan(t *testing.T) {
	for n, events := range map[int]int{0: 0, 1: 1, 200: 200, 201: 201, 250: 201} {
		s := with(state.Settings{})
		plan := []view.Planned{
			{Action: api.DenialSame, Denial: policy.Denial{ID: "d-same"}, Record: record.Denial{ID: "d-same"}},
			{Action: api.DenialExpired, Denial: policy.Denial{}, Record: record.Denial{Package: "over"}},
		}
		for i := range n {
			action := api.DenialAdded
			if i%2 == 1 {
				action = api.DenialMerged
			}
			d := record.Denial{ID: fmt.Sprintf("d-%03d", i), Package: fmt.Sprintf("p%03d", i), Ticket: "T", Act: because("r")}
			p, err := view.PolicyDenial(d)
			if err != nil {
				t.Fatal(err)
			}
			plan = append(plan, view.Planned{Action: action, Denial: p, Record: d})
		}
		lines := event(t, s, func() { s.CarryPlan(plan, api.Actor{UID: 5, PID: 6}) })
		if len(lines) != n+events || len(s.Denied) != n || len(s.Queue.Events) != events {
			t.Errorf("%d: %d records, %d denied, %d events", n, len(lines), len(s.Denied), len(s.Queue.Events))
		}
		for i, e := range s.Queue.Events {
			if e.UID != 5 || e.PID != 6 || i < 200 && (e.Package != fmt.Sprintf("p%03d", i) || e.Reason != "T" || e.Text != "r") ||
				i == 200 && e.Package != fmt.Sprintf("and %d more", n-200) {
				t.Errorf("%d: event %d is %+v", n, i, e)
			}
		}
		if h := told(s); len(h) != min(n, 200) || n > 0 && h[0] != "denied d-000 p000 r" {
			t.Errorf("%d: the observer heard %d", n, len(h))
		}
	}
}

// TestDenialsOfSnapshotsStay: what readers have of the denials does not change.
func TestDenialsOfSnapshotsStay(t *testing.T) {
	s := with(state.Settings{})
	empty := s.Denied
	wants(t, event(t, s, func() { s.SetDenial(record.Denial{ID: "d-1", Package: "bash"}) }), "denied d-1")
	one := s.Denied
	wants(t, event(t, s, func() { s.DropDenial("d-1") }), "denied d-1 goes")
	if len(empty) != 0 || len(one) != 1 || len(s.Denied) != 0 {
		t.Errorf("%v, %v, %v", empty, one, s.Denied)
	}
}

// TestExpireDenials: only those end whose time is over, and what is denied is put together anew.
func TestExpireDenials(t *testing.T) {
	s := with(state.Settings{})
	s.Denied = map[string]record.Denial{
		"d-now":   {ID: "d-now", Package: "now", Expires: noon, Act: because("r")},
		"d-bad":   {ID: "d-bad", Digests: []string{"bash"}, Expires: noon.Add(-time.Hour)},
		"d-later": {ID: "d-later", Package: "later", Expires: noon.Add(time.Second)},
		"d-never": {ID: "d-never", Package: "never"},
	}
	s.CompileDenials()
	basis := s.Basis
	says(t, s, "denials", api.SeverityError, "denial d-bad cannot be read")
	lines := event(t, s, s.ExpireDenials)
	slices.Sort(lines)
	wants(t, lines, "denied d-bad goes", "denied d-now goes", "log denial-expired", "log denial-expired now")
	if s.Basis == basis || s.Denials.ByID("d-now") != nil || s.Denials.ByID("d-later") == nil || s.Denials.ByID("d-never") == nil {
		t.Errorf("basis %d after %d, %+v", s.Basis, basis, s.Denials)
	}
	says(t, s, "denials", "", "")
	h := told(s)
	slices.Sort(h)
	if diff := cmp.Diff([]string{"lifted  expired", "lifted now expired"}, h); diff != "" {
		t.Error(diff)
	}
	basis = s.Basis
	if wants(t, event(t, s, s.ExpireDenials)); s.Basis != basis {
		t.Error("nothing ended, and all begins again")
	}
}
