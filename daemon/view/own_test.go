// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"bytes"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
	"github.com/google/go-cmp/cmp"
)

// TestDescribeOwn: an own list as it stands, withheld, removed, and where its name is
// another's.
func TestDescribeOwn(t *testing.T) {
	body := record.Digest(bytes.Repeat([]byte{0xab}, 32))
	o := record.Own{Name: "app", List: "tlv-own-app", Version: 3, Last: 4, Body: body, Sources: [][]byte{[]byte("/opt/app"), []byte("/opt/\xff")},
		Listed: true, Key: "ab", Created: born, Changed: record.Act{UID: 7, PID: 8, Reason: "new", When: today}}
	removed := api.Own{Name: "app", List: "tlv-own-app", State: api.StateRemoved, Version: 3, Highest: 4, Digest: body.String(), Listed: true, Key: "ab",
		Sources: []api.OwnSource{{Path: "/opt/app"}, {Path: "/opt/\xff", RawPath: []byte("/opt/\xff")}},
		Created: born, Changed: today, By: api.Actor{UID: 7, PID: 8}, Reason: "new"}
	ours := []change{ownList("app"), named("tlv-own-app"), withFiles(5), func(e *view.Entry) { e.Granted = true }}
	for name, tc := range map[string]struct {
		changes []change
		record  func(o *record.Own)
		want    func(o *api.Own)
	}{
		"active": {ours, func(*record.Own) {}, func(o *api.Own) { o.State, o.Files, o.Granted = api.StateActive, 5, true }},
		"withheld": {append(ours[:4:4], in(record.Withheld), func(e *view.Entry) { e.Text = "it is denied" }), func(*record.Own) {},
			func(o *api.Own) { o.State, o.Text, o.Files, o.Granted = api.StateWithheld, "it is denied", 5, true }},
		"removed":          {ours, func(o *record.Own) { o.Removed = today }, func(*api.Own) {}},
		"another's":        {[]change{ownList("other"), named("tlv-own-app"), withFiles(5)}, func(*record.Own) {}, func(*api.Own) {}},
		"not there":        {[]change{ownList("app"), named("tlv-own-other")}, func(*record.Own) {}, func(*api.Own) {}},
		"of which no body": {ours[:2], func(o *record.Own) { o.Body, o.Sources = record.Digest{}, nil }, func(o *api.Own) { o.State, o.Digest, o.Sources = api.StateActive, "", nil }},
	} {
		o, want := o, removed
		tc.record(&o)
		tc.want(&want)
		if diff := cmp.Diff(want, snapshot(entry(t, "app-3-1.noarch", tc.changes...)).DescribeOwn(o)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestParseOwn(t *testing.T) {
	for text, want := range map[string]struct {
		name     string
		own, bad bool
	}{
		"own:app-3-1.noarch":    {"app", true, false},
		"own:my.app-3-1.noarch": {"my.app", true, false},
		"app-3-1.noarch":        {"", false, false},
		"own:":                  {"", true, true},
		"own:app":               {"", true, true},
		"own:_app-3-1.noarch":   {"", true, true},
		"":                      {"", false, false},
	} {
		pkg, own, err := view.ParseOwn(text)
		if own != want.own || (err != nil) != want.bad {
			t.Errorf("%q: %s, %v, %v", text, pkg, own, err)
		}
		if own && err == nil && pkg.String() != text {
			t.Errorf("%q is read as %s", text, pkg)
		}
		if name, ok := view.OwnOf(text); name != want.name || ok != (want.own && !want.bad) {
			t.Errorf("%q is of the own list %q, %v", text, name, ok)
		}
	}
}
