// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// TestWhyUnread: what there is for a path is said without a look at the file, the lists
// that count first.
func TestWhyUnread(t *testing.T) {
	s := snapshot(
		entry(t, "a-1-1.noarch", file("/p", contentA), in(record.Withheld), reason(policy.ReasonDenied), func(e *view.Entry) { e.Text = "it is denied" }),
		entry(t, "b-1-1.noarch", file("/p", contentB), vouchedBy("ab"), func(e *view.Entry) { e.Counter = 4 }),
		entry(t, "c-1-1.noarch", file("/q", contentA)))
	s.Keys["ab"] = record.Key{Owner: "Somebody"}
	says := api.Why{Verdict: api.VerdictUnread, Text: "digestd reads files only for root", Advice: "use digestctl why, which reads the file itself, or ask as root"}
	want := says
	want.RealPath, want.Owner, want.OwnerState = "/p", "b-1-1.noarch", api.StateActive
	want.Lists = []api.WhyList{
		{List: "tlv-b-1-1.noarch", State: api.StateActive, NEVRA: "b-1-1.noarch", Key: "ab", KeyOwner: "Somebody", Counter: 4, PathMatches: true},
		{List: "tlv-a-1-1.noarch", State: api.StateWithheld, NEVRA: "a-1-1.noarch", Reason: "denied", Text: "it is denied", PathMatches: true},
	}
	if diff := cmp.Diff(want, s.WhyUnread(api.Why{RealPath: "/p"})); diff != "" {
		t.Error(diff)
	}
	want = says
	want.RealPath = "/none"
	if diff := cmp.Diff(want, s.WhyUnread(api.Why{RealPath: "/none"})); diff != "" {
		t.Error(diff)
	}

	var many []*view.Entry
	for i := range view.EnoughLists + 3 {
		many = append(many, entry(t, fmt.Sprintf("a%02d-1-1.noarch", i), file("/licence", contentA)))
	}
	if w := snapshot(many...).WhyUnread(api.Why{RealPath: "/licence"}); len(w.Lists) != view.EnoughLists || w.More != 3 {
		t.Errorf("of %d lists %d are described, and %d more are counted", len(many), len(w.Lists), w.More)
	}
}

// TestWhyMissing: a file that is gone is that of a package, of an own list or of nobody.
func TestWhyMissing(t *testing.T) {
	s := snapshot(
		entry(t, "a-1-1.noarch", file("/p", contentA), in(record.Withheld)),
		entry(t, "app-1-1.noarch", ownList("app"), file("/own", contentA)))
	for path, want := range map[string]api.Why{
		"/none": {Text: "there is no such file"},
		"/p":    {Text: "there is no such file, but a-1-1.noarch has one", Advice: "reinstall a-1-1.noarch", Owner: "a-1-1.noarch", OwnerState: api.StateWithheld},
		"/own": {Text: "there is no such file, but own:app-1-1.noarch has one", Advice: "if it was removed on purpose: digestctl own update app",
			Owner: "own:app-1-1.noarch", OwnerState: api.StateActive},
	} {
		want.Verdict = api.VerdictMissing
		if diff := cmp.Diff(want, s.WhyMissing(api.Why{}, path)); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
}

// TestSortLists: an active list goes before others, a content before a path, and names
// decide the rest.
func TestSortLists(t *testing.T) {
	var lists []api.WhyList
	for _, l := range strings.Fields("h:- g:p f:d e:dp d:a c:ap b:ad a:adp aa:adp") {
		name, has, _ := strings.Cut(l, ":")
		w := api.WhyList{List: name, State: api.StateWithheld, DigestMatches: strings.Contains(has, "d"), PathMatches: strings.Contains(has, "p")}
		if strings.Contains(has, "a") {
			w.State = api.StateActive
		}
		lists = append(lists, w)
	}
	view.SortLists(lists)
	var got []string
	for _, l := range lists {
		got = append(got, l.List)
	}
	if want := "a aa b c d e f g h"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}
