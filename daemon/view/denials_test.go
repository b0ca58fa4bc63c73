// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// Contents that are denied, or not.
var (
	contentA = bytes.Repeat([]byte{0xa1}, sha256.Size)
	contentB = bytes.Repeat([]byte{0xb2}, sha512.Size)
	contentC = bytes.Repeat([]byte{0xc3}, sha256.Size)
	textA    = fmt.Sprintf("sha256:%x", contentA)
	textB    = fmt.Sprintf("sha512:%x", contentB)
)

// deny enters records of denials, and makes them hold.
func deny(t *testing.T, s *view.Snapshot, records ...record.Denial) {
	t.Helper()
	var all []policy.Denial
	for _, r := range records {
		s.Denied[r.ID] = r
		p, err := view.PolicyDenial(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	s.Denials = policy.NewDenials(all, today)
}

// TestDenialRecords: a record says what policy made of a denial, and policy makes the
// same of the record.
func TestDenialRecords(t *testing.T) {
	by := record.Act{UID: 7, Reason: "old", When: today}
	for name, d := range map[string]record.Denial{
		"contents":              {ID: "d-1", Digests: []string{textA, textB}, Path: "/p", Ticket: "T-1", Expires: today.Add(day), Act: by},
		"a package":             {ID: "d-1", Package: "a", Act: by},
		"of an architecture":    {ID: "d-1", Package: "a", Arch: "x86_64", Act: by},
		"older ones":            {ID: "d-1", Package: "a", Below: "1:2-3", Act: by},
		"older than any":        {ID: "d-1", Package: "a", Below: "0:2", Act: by},
		"one":                   {ID: "d-1", Package: "a", Arch: "x86_64", Exact: "0:1-1", Act: by},
		"one, of any epoch":     {ID: "d-1", Package: "a", Arch: "x86_64", Exact: "1-1", Act: by},
		"older ones, any epoch": {ID: "d-1", Package: "a", Below: "2", Act: by},
	} {
		p, err := view.PolicyDenial(d)
		if err != nil || p.By != "uid 7" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if diff := cmp.Diff(d, view.RecordOf(p, d.Path, by)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	for says, d := range map[string]record.Denial{
		"both digests and a package": {Digests: []string{textA}, Arch: "x86_64"},
		`"bash" is not a digest`:     {Digests: []string{"bash"}},
		"cannot read digest":         {Digests: []string{"sha256:ab"}},
		"needs an architecture":      {Package: "a", Exact: "1-1"},
		"name is empty":              {},
	} {
		if p, err := view.PolicyDenial(d); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %+v, %v, want %q", d, p, err, says)
		}
	}
}

// TestDenialIDs: an ID is made of what is denied, and is longer where another has it.
func TestDenialIDs(t *testing.T) {
	full := fmt.Sprintf("d-%x", sha256.Sum256([]byte("a")))
	taken := map[string]record.Denial{}
	for _, n := range []int{10, 12, 14} {
		id := view.NewDenialID("a", taken)
		if id != full[:2+n] {
			t.Errorf("beside %d others it is %s", len(taken), id)
		}
		taken[id] = record.Denial{ID: id}
	}
	for n := 16; n <= 64; n += 2 {
		taken[full[:2+n]] = record.Denial{ID: full[:2+n]}
	}
	if id := view.NewDenialID("a", taken); id != full {
		t.Errorf("beside all others it is %s", id)
	}
}

// TestDescribeDenial: what is denied here, and by others.
func TestDescribeDenial(t *testing.T) {
	s := snapshot(
		entry(t, "a-1-1.noarch", deniedBy("d-1", "d-2")),
		entry(t, "b-1-1.noarch", deniedBy("d-1"), in(record.Withheld)))
	deny(t, s,
		record.Denial{ID: "d-1", Digests: []string{textA}, Path: "/p", Ticket: "T-1", Expires: today.Add(day), Act: record.Act{UID: 7, Reason: "old", When: born}},
		record.Denial{ID: "d-3", Package: "a", Arch: "x86_64", Below: "1:2", Act: record.Act{Reason: "bad"}})
	for _, want := range []api.Denial{
		{ID: "d-1", What: textA, Digests: []string{textA}, Path: "/p", Reason: "old", Ticket: "T-1", By: "uid 7", UID: 7, Since: born, Expires: today.Add(day), Lists: 2},
		{ID: "d-3", What: "a.x86_64<1:2", Package: "a", Arch: "x86_64", Below: "1:2", Reason: "bad", By: "root"},
	} {
		if diff := cmp.Diff(want, s.Denial(want.ID)); diff != "" {
			t.Error(diff)
		}
	}
	foreign := policy.Denial{ID: "d-2", Contents: []policy.Content{{Algo: digestlist.SHA512, Digest: string(contentB)}}, By: "the kernel", Reason: "it names it", Ticket: "T-2", Expires: today, Foreign: true}
	want := api.Denial{ID: "d-2", What: textB, Digests: []string{textB}, Reason: "it names it", Ticket: "T-2", By: "the kernel", Expires: today, Foreign: true, Lists: 1}
	if diff := cmp.Diff(want, s.DescribeForeign(foreign, s.ListsByDenial())); diff != "" {
		t.Error(diff)
	}
	for list, want := range map[string]string{"tlv-a-1-1.noarch": "d-1", "tlv-b-1-1.noarch": "d-1", "tlv-c-1-1.noarch": ""} {
		if got := s.DeniedBy(list); got != want {
			t.Errorf("%s is denied by %q", list, got)
		}
	}
}

// TestDescribePlan counts what an import does, and names the packages that it concerns.
func TestDescribePlan(t *testing.T) {
	s := snapshot(
		entry(t, "a-1-1.noarch", file("/a", contentA), file("/a2", contentA)),
		entry(t, "b-1-1.noarch", file("/b", contentB), file("/a", contentA)),
		entry(t, "c-1-1.noarch", file("/a", contentA), in(record.Withheld)),
		entry(t, "ssl-1-1.x86_64"), entry(t, "ssl-3-1.x86_64"), entry(t, "ssl-1-1.i686", in(record.Withheld)))
	plan := func(action string, d record.Denial) view.Planned {
		p, err := view.PolicyDenial(d)
		if err != nil {
			t.Fatal(err)
		}
		return view.Planned{Action: action, Denial: p, Record: d}
	}
	got := s.DescribePlan([]view.Planned{
		plan(api.DenialAdded, record.Denial{ID: "d-1", Digests: []string{textA}}),
		plan(api.DenialMerged, record.Denial{ID: "d-2", Package: "ssl", Below: "2"}),
		plan(api.DenialSame, record.Denial{ID: "d-3", Digests: []string{textB}}),
		plan(api.DenialExpired, record.Denial{ID: "d-4", Package: "ssl"}),
		plan(api.DenialAdded, record.Denial{ID: "d-5", Digests: []string{textB}, Act: record.Act{UID: 5}}),
		plan(api.DenialAdded, record.Denial{ID: "d-6", Package: "absent"}),
	})
	want := api.DenialImport{Added: 3, Merged: 1, Same: 1, Expired: 1, Lists: 3, Changes: []api.DenialChange{
		{Action: "added", Denial: api.Denial{ID: "d-1", What: textA, Digests: []string{textA}, By: "root"}, Packages: []string{"a-1-1.noarch", "b-1-1.noarch"}},
		{Action: "merged", Denial: api.Denial{ID: "d-2", What: "ssl<2", Package: "ssl", Below: "2", By: "root"}, Packages: []string{"ssl-1-1.x86_64"}},
		{Action: "same", Denial: api.Denial{ID: "d-3", What: textB, Digests: []string{textB}, By: "root"}},
		{Action: "expired", Denial: api.Denial{ID: "d-4", What: "ssl", Package: "ssl", By: "root"}},
		{Action: "added", Denial: api.Denial{ID: "d-5", What: textB, Digests: []string{textB}, By: "uid 5", UID: 5}, Packages: []string{"b-1-1.noarch"}},
		{Action: "added", Denial: api.Denial{ID: "d-6", What: "absent", Package: "absent", By: "root"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := s.DescribePlan(nil); got.Changes == nil || len(got.Changes) != 0 {
		t.Errorf("an import of nothing changes %v", got.Changes)
	}
	many := make([]view.Planned, api.MaxPage+5)
	for i := range many {
		many[i] = plan(api.DenialAdded, record.Denial{ID: fmt.Sprint(i), Package: "absent"})
	}
	if got := s.DescribePlan(many); got.Added != len(many) || len(got.Changes) != api.MaxPage {
		t.Errorf("of %d denials %d are counted and %d described", len(many), got.Added, len(got.Changes))
	}
}

// TestFindDenial: a denial is found by its ID, its path and what it is about.
func TestFindDenial(t *testing.T) {
	s := snapshot(entry(t, "ssl-3:1-1.x86_64"))
	deny(t, s,
		record.Denial{ID: "d-content", Digests: []string{textA, textB}, Path: "/p"},
		record.Denial{ID: "d-again", Digests: []string{fmt.Sprintf("sha256:%x", contentC)}, Path: "/q"},
		record.Denial{ID: "d-another", Package: "vim", Path: "/q"},
		record.Denial{ID: "d-below", Package: "ssl", Below: "3:2"},
		record.Denial{ID: "d-any", Package: "early", Below: "2"})
	s.Denied["d-unreadable"] = record.Denial{ID: "d-unreadable", Digests: []string{"x"}, Path: "/r"}
	foreign := view.Ban([]string{view.BinPrefix + strings.Repeat("cd", 32)}).Denials()
	s.Denials = policy.NewDenials(foreign, today)
	for what, want := range map[string]string{
		"d-content": "d-content", "/p": "d-content", textA: "d-content", textB: "d-content", textB[7:]: "d-content",
		"ssl<3:2": "d-below", "ssl<2": "d-below", "early<2": "d-any", "vim": "d-another", "/r": "d-unreadable", "d-unreadable": "d-unreadable",
	} {
		if got, err := s.FindDenial(what); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", what, got, err, want)
		}
	}
	for what, want := range map[string]string{
		"ssl<4":       `"ssl<4" is not denied here (see digestctl deny list)`,
		"/s":          `"/s" is not denied here (see digestctl deny list)`,
		"":            `"" is not denied here (see digestctl deny list)`,
		"/q":          `"/q" is denied more than once: give one of d-again, d-another ()`,
		foreign[0].ID: foreign[0].ID + " was not made here, but by the kernel's .blacklist (only the kernel's .blacklist can lift that)",
	} {
		got, err := s.FindDenial(what)
		if code(t, err) == "" {
			t.Errorf("%q: %q, %v", what, got, err)
		} else if text := fmt.Sprintf("%s (%s)", err, err.(*api.Error).Advice); got != "" || text != want {
			t.Errorf("%q: %q, %s, want %s", what, got, text, want)
		}
	}
	for range 20 { // in whatever order a map has them
		if _, err := s.FindDenial("/q"); err == nil || !strings.HasSuffix(err.Error(), "d-again, d-another") {
			t.Fatal(err)
		}
	}
	if _, err := s.FindDenial("/s"); code(t, err) != api.NotFound {
		t.Errorf("what is not denied: %s", code(t, err))
	}
}

// TestExplainDenied: the answer about a file whose content is denied, and whose it is.
func TestExplainDenied(t *testing.T) {
	s := snapshot(
		entry(t, "left-1-1.noarch", file("/left", contentC)),
		entry(t, "bound-1-1.noarch", in(record.Withheld)))
	deny(t, s,
		record.Denial{ID: "d-1", Digests: []string{textB}, Ticket: "CVE-1", Act: record.Act{Reason: "it is bad"}},
		record.Denial{ID: "d-2", Digests: []string{textA}, Act: record.Act{UID: 7}})
	elsewhere := api.WhyList{List: "tlv-elsewhere", NEVRA: "elsewhere-1-1.noarch", State: api.StateActive, DigestMatches: true}
	there := api.WhyList{List: "tlv-there", NEVRA: "there-1-1.noarch", State: api.StateRetired, PathMatches: true}
	sums := view.FileSums{digestlist.SHA256: contentC, digestlist.SHA512: contentB}
	denied := api.Why{Verdict: api.VerdictDenied, Algo: "sha512", Digest: textB[7:], Text: "not vouched for: its content is denied by root because it is bad (CVE-1)",
		Reasons: []string{"before", "denial d-1 names its content, denied by root because it is bad (CVE-1)"},
		Advice:  "to lift that: digestctl deny lift d-1 --reason WHY", Denial: "d-1"}
	for name, tc := range map[string]struct {
		asked api.Why
		want  func(w *api.Why)
	}{
		"of nobody":  {api.Why{RealPath: "/none"}, func(w *api.Why) {}},
		"of a list":  {api.Why{RealPath: "/left", Lists: []api.WhyList{elsewhere, there}}, func(w *api.Why) { w.Lists, w.Owner, w.OwnerState = []api.WhyList{there}, there.NEVRA, there.State }},
		"left out":   {api.Why{RealPath: "/left", Lists: []api.WhyList{elsewhere}}, func(w *api.Why) { w.Owner, w.OwnerState = "left-1-1.noarch", api.StateActive }},
		"of a label": {api.Why{RealPath: "/none", Label: "tlv-bound-1-1.noarch"}, func(w *api.Why) { w.Owner, w.OwnerState = "bound-1-1.noarch", api.StateWithheld }},
	} {
		got, want := tc.asked, denied
		got.Reasons = []string{"before"}
		want.RealPath, want.Label = got.RealPath, got.Label
		tc.want(&want)
		if !s.ExplainDenied(&got, sums) {
			t.Errorf("%s: it is not denied", name)
		}
		if len(got.Lists) == 0 {
			got.Lists = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	w := api.Why{Lists: []api.WhyList{elsewhere}}
	if s.ExplainDenied(&w, view.FileSums{digestlist.SHA256: contentC, digestlist.SHA512: contentA}) || !cmp.Equal(w, api.Why{Lists: []api.WhyList{elsewhere}}) {
		t.Errorf("a file that nobody denied: %+v", w)
	}
}

// TestOmission: each denial is named once, and the text names a file that is alone.
func TestOmission(t *testing.T) {
	var o view.Omission
	d, e := &policy.Denial{ID: "d-1", By: "root", Reason: "bad"}, &policy.Denial{ID: "d-2"}
	path := []byte("/p")
	o.Add(d, path)
	path[1] = 'x'
	if got, want := o.Text("a-1-1.noarch"), "a-1-1.noarch: its list leaves out /p: denied by root because bad"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	o.Add(d, []byte("/q"))
	o.Add(e, []byte("/r"))
	if got, want := o.Text("a-1-1.noarch"), "a-1-1.noarch: its list leaves out 3 files: denied by root because bad"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !slices.Equal(o.IDs, []string{"d-1", "d-2"}) || !slices.Equal(o.By, []*policy.Denial{d, e}) {
		t.Errorf("it is denied by %q, %v", o.IDs, o.By)
	}
}
