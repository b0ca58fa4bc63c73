// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
)

func known(name string) bool {
	return name == "python3.11" || name == "gcc-c++-devel" || name == "bash" || name == "odd-1-1"
}

func TestParseSubject(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("x")))
	long := strings.Repeat("ab", 64)
	for text, want := range map[string]string{
		"openssl":                           "openssl|||",
		"openssl.x86_64":                    "openssl|x86_64||",
		"bash.sh":                           "bash|sh||", // bash is known
		"python3.11":                        "python3.11|||",
		"python3.11.noarch":                 "python3.11|noarch||",
		"unknown3.11":                       "unknown3.11|||",
		"openssl<3.0.7":                     "openssl||0:3.0.7|",
		"openssl < 1:3.0.7-18.el9":          "openssl||1:3.0.7-18.el9|",
		"openssl.x86_64<3.0.7-18":           "openssl|x86_64|0:3.0.7-18|",
		"python3.11<3.11.2":                 "python3.11||0:3.11.2|",
		"bash-5.1-2.x86_64":                 "bash|x86_64||0:5.1-2",
		"bash-1:5.1-2.x86_64":               "bash|x86_64||1:5.1-2",
		"gcc-c++-devel.x86_64":              "gcc-c++-devel|x86_64||",
		"other-c++-devel.x86_64":            "other-c++-devel|x86_64||",
		"odd-1-1.noarch":                    "odd-1-1|noarch||",
		sum:                                 "sha256:" + sum,
		strings.ToUpper(sum):                "sha256:" + sum,
		"sha256:" + sum:                     "sha256:" + sum,
		"sha512:" + long + ",sha256:" + sum: "sha256:" + sum + ",sha512:" + long,
		long:                                "sha512:" + long,
	} {
		d, err := policy.ParseSubject(text, known)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, c := range d.Contents {
			got = append(got, c.String())
		}
		if d.Contents == nil {
			got = []string{strings.Join([]string{d.Package.Name, d.Package.Arch, policy.BoundText(d.Package.Below), d.Package.Exact.String()}, "|")}
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		// Its name leads back to it.
		if again, err := policy.ParseSubject(d.Subject(), known); err != nil || !again.Same(d) {
			t.Errorf("%q: called %q, which is %+v, %v", text, d.Subject(), again, err)
		}
	}
	empty := fmt.Sprintf("%x", sha256.Sum256(nil))
	for _, text := range []string{"", "<1", "a<", "a<=1-1", "a b", "a/b", "a\nb", "a<1-", "a<x:1", "a<1-1-1:2", "sha256:ab", "sha256:" + long, "sha1:" + long[:40],
		"md5:" + long[:32], "sha256:" + sum + ",bash", "sha256:" + sum + ",sha256:" + strings.Repeat("ab", 32), empty, "sha256:" + empty,
		strings.Repeat("a", 300)} {
		if d, err := policy.ParseSubject(text, known); err == nil {
			t.Errorf("%.60q is %+v", text, d)
		}
	}
}

func TestRangeHas(t *testing.T) {
	pkg := func(s string) nevra.NEVRA {
		n, err := nevra.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, tc := range []struct {
		subject string
		yes, no []string
	}{
		{"ssl", []string{"ssl-1-1.noarch", "ssl-9:9-9.x86_64"}, []string{"ssl-libs-1-1.noarch"}},
		{"ssl.x86_64", []string{"ssl-1-1.x86_64"}, []string{"ssl-1-1.noarch"}},
		{"ssl<3.0.7-18", []string{"ssl-3.0.7-17.noarch", "ssl-3.0.7-18~rc1.noarch", "ssl-3.0-99.x86_64"}, []string{"ssl-3.0.7-18.noarch", "ssl-1:1-1.noarch", "ssl-3.0.7-18^git.noarch"}},
		{"ssl<3.0.7", []string{"ssl-3.0.6-99.noarch", "ssl-3.0.7~rc1-1.noarch"}, []string{"ssl-3.0.7-1.noarch", "ssl-3.0.7-0.noarch"}},
		{"ssl<1:1", []string{"ssl-99-1.noarch"}, []string{"ssl-1:1-1.noarch"}},
		{"ssl-1-1.noarch", []string{"ssl-1-1.noarch"}, []string{"ssl-1-2.noarch", "ssl-1-1.x86_64", "ssl-1:1-1.noarch"}},
	} {
		d, err := policy.ParseSubject(tc.subject, known)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range tc.yes {
			if !d.Package.Has(pkg(s)) {
				t.Errorf("%s is not of %s", s, tc.subject)
			}
		}
		for _, s := range tc.no {
			if d.Package.Has(pkg(s)) {
				t.Errorf("%s is of %s", s, tc.subject)
			}
		}
	}
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestDenialsHold(t *testing.T) {
	content := policy.Content{Algo: digestlist.SHA256, Digest: strings.Repeat("\x01", 32)}
	other := policy.Content{Algo: digestlist.SHA512, Digest: strings.Repeat("\x02", 64)}
	s := policy.NewDenials([]policy.Denial{
		{ID: "owner", Contents: []policy.Content{content}},
		{ID: "kernel", Contents: []policy.Content{content, other}, Foreign: true},
		{ID: "over", Package: policy.Range{Name: "bash"}, Expires: noon},
		{ID: "soon", Package: policy.Range{Name: "vim"}, Expires: noon.Add(time.Second)},
		{ID: "later", Package: policy.Range{Name: "vim", Arch: "noarch"}, Expires: noon.Add(time.Hour)},
	}, noon)
	if d := s.Content(content.Algo, []byte(content.Digest)); d == nil || d.ID != "owner" {
		t.Errorf("of two about one content the first counts: %+v", d)
	}
	if d := s.Content(other.Algo, []byte(other.Digest)); d == nil || d.ID != "kernel" || s.Wide() {
		t.Errorf("another algorithm: %+v", d)
	}
	if s.Content(digestlist.SHA512, []byte(content.Digest)) != nil || s.Content(digestlist.SHA256, nil) != nil {
		t.Error("something is denied that is not")
	}
	if s.Package(nevra.NEVRA{Name: "bash", EVR: evr(t, "1-1"), Arch: "noarch"}) != nil || s.ByID("over") != nil {
		t.Error("an expired denial holds")
	}
	if d := s.Package(nevra.NEVRA{Name: "vim", EVR: evr(t, "1-1"), Arch: "noarch"}); d == nil || d.ID != "soon" {
		t.Errorf("vim: %+v", d)
	}
	if !s.Next().Equal(noon.Add(time.Second)) || len(s.Heads()) != 2 || len(s.Foreign()) != 1 {
		t.Errorf("next %v, heads %v, foreign %v", s.Next(), s.Heads(), s.Foreign())
	}
	if !policy.NewDenials([]policy.Denial{{ID: "wide", Contents: []policy.Content{other}}}, noon).Wide() {
		t.Error("it takes SHA-512 to tell, which is not said")
	}
	var none *policy.Denials
	if none.Content(content.Algo, []byte(content.Digest)) != nil || none.Of("bash") != nil || !none.Next().IsZero() || none.Wide() || none.Heads() != nil {
		t.Error("nothing at all denies something")
	}
}

func TestDeniedDecisions(t *testing.T) {
	d := policy.Denial{ID: "d-1", Package: policy.Range{Name: "bash", Below: nevra.EVR{Version: "2"}}, By: "root", Reason: "bad", Ticket: "CVE-1"}
	l := policy.Line{High: evr(t, "1-1"), Active: []policy.Instance{{EVR: evr(t, "1-1"), Granted: true}}, Grants: []nevra.EVR{evr(t, "1-1")}, Denials: []policy.Denial{d}}
	for mode, want := range map[policy.Mode]policy.Verdict{policy.Enforce: policy.Veto, policy.Withhold: policy.WithholdList, policy.Audit: policy.WithholdList} {
		got := policy.Admit(mode, l, bash(evr(t, "1-1")))
		text := "bash-1-1.noarch is below 2, and so denied by root because bad (CVE-1); to lift that: digestctl deny lift d-1 --reason WHY"
		if diff := cmp.Diff(policy.Decision{Verdict: want, Reason: policy.ReasonDenied, Denial: "d-1", Text: strings.Replace(text, "noarch", bash(evr(t, "1-1")).Arch, 1)}, got); diff != "" {
			t.Errorf("%v: %s", mode, diff)
		}
	}
	if got := policy.Admit(policy.Enforce, l, bash(evr(t, "2-1"))); got.Verdict != policy.Allow {
		t.Errorf("%+v", got)
	}
	d.Foreign, d.By = true, "the kernel"
	if got := d.Lift(); got != "only the kernel can lift that" {
		t.Error(got)
	}
}

func TestMerge(t *testing.T) {
	a := policy.Content{Algo: digestlist.SHA256, Digest: strings.Repeat("\x01", 32)}
	b := policy.Content{Algo: digestlist.SHA512, Digest: strings.Repeat("\x02", 64)}
	d := policy.Denial{ID: "one", Contents: []policy.Content{a}, Reason: "first", Ticket: "T-1", Expires: noon}
	got := d.Merge(policy.Denial{ID: "two", Contents: []policy.Content{b, a}, Reason: "second", Ticket: "T-2", Expires: noon.Add(time.Hour)})
	want := policy.Denial{ID: "one", Contents: []policy.Content{a, b}, Reason: "first", Ticket: "T-1, T-2", Expires: noon.Add(time.Hour)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := got.Merge(want); cmp.Diff(want, again) != "" {
		t.Errorf("merged with itself it is %+v", again)
	}
	for _, e := range []time.Time{{}, noon} {
		d, o := policy.Denial{Expires: e}, policy.Denial{}
		if !d.Merge(o).Expires.IsZero() || !o.Merge(d).Expires.IsZero() {
			t.Errorf("for ever and until %v is not for ever", e)
		}
	}
	if len(d.Contents) != 1 {
		t.Error("Merge changed its receiver")
	}
	if d.Same(policy.Denial{Package: policy.Range{Name: "bash"}}) || !d.Same(got) || (policy.Denial{Package: policy.Range{Name: "a"}}).Same(policy.Denial{Package: policy.Range{Name: "b"}}) {
		t.Error("what is about the same")
	}
}
