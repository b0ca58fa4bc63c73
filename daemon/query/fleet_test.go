// SPDX-License-Identifier: Apache-2.0

package query

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Policy files are counted by what became of them.
func TestCountPolicies(t *testing.T) {
	gone := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &view.Policed{
		Policies: map[string]record.Policy{"own": {}, "packaged": {Package: "fleet-1-1.noarch"}, "updated": {Package: "site-1-1.noarch", Why: "line 3"},
			"gone": {Gone: gone}, "both": {Gone: gone}},
		Unheard: map[string]view.Unheard{"updated": {}, "new": {}, "both": {}, "of nobody's interest": {Expected: true}},
	}
	if got, want := countPolicies(s), (api.PolicyCounts{InForce: 3, Lapsed: 2, Refused: 3, Packaged: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := countPolicies(&view.Policed{}); got != (api.PolicyCounts{}) {
		t.Errorf("of none: %+v", got)
	}
}

// Of repositories without security advisories nobody wonders how old their metadata is.
func TestOldestMetadata(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	origins := map[string]record.Origin{}
	for name, o := range map[string]record.Origin{"base": {Made: day(1)}, "updates": {Made: day(9), Security: 3}, "more": {Made: day(8), Security: 1}, "never": {Security: 1}} {
		o.Name = record.OriginAdvisory + name
		origins[o.Name] = o
	}
	if got, want := oldestMetadata(view.Advice{Origins: origins}), (api.Metadata{Repository: "more", Made: day(8)}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
