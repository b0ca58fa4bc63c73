// SPDX-License-Identifier: Apache-2.0

package state

import (
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// Two architectures of one name that rpm keeps side by side have each its own
// highest version. When one takes the place of the other, it has to be as new.
func TestLineBesideOtherArchitectures(t *testing.T) {
	parse := func(text string) nevra.NEVRA {
		n, err := nevra.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	world := func(active ...string) *State {
		s := NewState(Settings{Mode: policy.Enforce}, time.Now())
		for _, text := range append([]string{"lib-2-1.x86_64"}, active...) {
			pkg := parse(text)
			s.SaveLine(view.LineOf(pkg), s.PolicyLine(view.LineOf(pkg)).Activate(pkg.EVR, 1))
		}
		for _, text := range active {
			s.Put(&view.Entry{List: record.List{Name: text, State: record.Active, Package: parse(text)}})
		}
		return s
	}
	for name, tc := range map[string]struct {
		active   []string
		elements []policy.Element // besides the one that is judged
		pkg      string
		want     policy.Verdict
	}{
		"beside it":             {active: []string{"lib-2-1.x86_64"}, pkg: "lib-1-1.i686"},
		"after it":              {pkg: "lib-1-1.i686", want: policy.Veto},
		"instead of it":         {[]string{"lib-2-1.x86_64"}, []policy.Element{{Type: policy.Removed, NEVRA: parse("lib-2-1.x86_64")}}, "lib-1-1.i686", policy.Veto},
		"as new, instead of it": {[]string{"lib-2-1.x86_64"}, []policy.Element{{Type: policy.Removed, NEVRA: parse("lib-2-1.x86_64")}}, "lib-2-1.i686", policy.Allow},
		"one family":            {active: []string{"lib-2-1.x86_64"}, pkg: "lib-1-1.x86_64_v3", want: policy.Veto},
		"noarch":                {active: []string{"lib-2-1.x86_64"}, pkg: "lib-1-1.noarch", want: policy.Veto},
		"another name":          {pkg: "bib-1-1.i686"},
		"both rise, each from where it is": {[]string{"lib-2-1.x86_64", "lib-1-1.i686"}, []policy.Element{
			{Type: policy.Added, NEVRA: parse("lib-3-1.x86_64")}, {Type: policy.Removed, NEVRA: parse("lib-2-1.x86_64")},
			{Type: policy.Removed, NEVRA: parse("lib-1-1.i686")}}, "lib-1.1-1.i686", policy.Allow},
	} {
		s := world(tc.active...)
		pkg := parse(tc.pkg)
		tr := &Transaction{Elements: append(tc.elements, policy.Element{Type: policy.Added, NEVRA: pkg})}
		if got := s.AdmitIn(tr, pkg, false); got.Verdict != tc.want {
			t.Errorf("%s: %v (%s), want %v", name, got.Verdict, got.Text, tc.want)
		}
	}
}
