// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

func TestListByName(t *testing.T) {
	s := snapshot(entry(t, "b-1-1.noarch"), entry(t, "a-1-1.noarch"), entry(t, "c-1-1.noarch", in(record.Withheld)))
	for name, active := range map[string]bool{"tlv-a-1-1.noarch": true, "tlv-b-1-1.noarch": true, "tlv-c-1-1.noarch": false} {
		if e := s.List(name); e == nil || e.Name != name || s.IsActive(name) != active {
			t.Errorf("%s: %+v, active: %v", name, e, s.IsActive(name))
		}
	}
	for _, name := range []string{"", "tlv-a", "tlv-bb-1-1.noarch", "z"} {
		if e := s.List(name); e != nil || s.IsActive(name) {
			t.Errorf("%q: %+v, active: %v", name, e, s.IsActive(name))
		}
	}
}

// TestSuspended: what was active and is withheld for a while stays what it was. A version that
// was withheld as a rollback was never active by right.
func TestSuspended(t *testing.T) {
	was := func(e *view.Entry) { e.Counter = 3 }
	void := func(e *view.Entry) { e.Void = true }
	withheld := in(record.Withheld)
	for name, tc := range map[string]struct {
		changes []change
		want    bool
	}{
		"active":                   {[]change{was}, false},
		"never active":             {[]change{withheld, reason(policy.ReasonDenied)}, false},
		"denied":                   {[]change{was, withheld, reason(policy.ReasonDenied)}, true},
		"denied, own":              {[]change{was, withheld, ownList("app"), reason(policy.ReasonDenied)}, true},
		"its key was revoked":      {[]change{was, withheld, reason(policy.ReasonKeyRevoked)}, true},
		"its key was revoked, own": {[]change{was, withheld, ownList("app"), reason(policy.ReasonKeyRevoked)}, false},
		"below a floor":            {[]change{was, withheld, reason(policy.ReasonRollbackFloor)}, true},
		"below a floor that voided its grant": {[]change{was, void, withheld,
			reason(policy.ReasonRollbackFloor)}, false},
		"rolled back":         {[]change{was, withheld, reason(policy.ReasonRollback)}, false},
		"denied and no grant": {[]change{was, void, withheld, reason(policy.ReasonDenied)}, false},
		"in quarantine":       {[]change{was, in(record.Quarantined), reason(policy.ReasonDenied)}, false},
	} {
		if got := entry(t, "a-1-1.noarch", tc.changes...).Suspended(); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRetracted: a list that was active and went for an advisory returns when that is forgotten.
func TestRetracted(t *testing.T) {
	was := func(e *view.Entry) { e.Counter = 3 }
	void := func(e *view.Entry) { e.Void = true }
	withheld, advised := in(record.Withheld), reason(policy.ReasonAdvisory)
	for name, tc := range map[string]struct {
		changes []change
		want    bool
	}{
		"withdrawn":          {[]change{was, withheld, advised}, true},
		"active":             {[]change{was, advised}, false},
		"never active":       {[]change{withheld, advised}, false},
		"its grant is void":  {[]change{was, void, withheld, advised}, false},
		"own":                {[]change{was, withheld, ownList("app"), advised}, false},
		"for another reason": {[]change{was, withheld, reason(policy.ReasonDenied)}, false},
	} {
		if e := entry(t, "a-1-1.noarch", tc.changes...); e.Retracted() != tc.want || tc.want && e.Suspended() {
			t.Errorf("%s: retracted %v, suspended %v", name, e.Retracted(), e.Suspended())
		}
	}
}

func TestLineNames(t *testing.T) {
	for want, id := range map[string]view.LineID{"a.x86_64": view.LineOf(entry(t, "a-1-1.x86_64").Package), "a": {Name: "a"}} {
		if id.String() != want {
			t.Errorf("%+v is called %q, want %q", id, id, want)
		}
	}
}

func TestNameOfOrder(t *testing.T) {
	o := &view.Order{
		Lists: map[string]uint32{"tlv-bash-1-1.x86_64": 7, "tlv-kernel-5-1.x86_64": 8},
		Lines: map[view.LineID]uint32{{Name: "bash", Arch: "x86_64"}: 7, {Name: "kernel", Arch: "x86_64"}: 9, {Name: "side", Arch: "x86_64"}: 11},
		Multi: []string{"kernel*"},
	}
	for pkg, want := range map[string]string{
		"bash-1-1.x86_64":   "7-tlv-bash-1-1.x86_64",
		"bash-2-1.x86_64":   "7-tlv-bash-2-1.x86_64", // that of the version before it
		"bash-2-1.i686":     "tlv-bash-2-1.i686",
		"kernel-5-1.x86_64": "8-tlv-kernel-5-1.x86_64",
		"kernel-6-1.x86_64": "tlv-kernel-6-1.x86_64", // beside the other
		"vim-1-1.x86_64":    "tlv-vim-1-1.x86_64",
		"side-1-1.x86_64":   "11-tlv-side-1-1.x86_64",
	} {
		e := entry(t, pkg)
		if got := o.NameOf(e.Name, e.Package, false); got != want {
			t.Errorf("%s: %q, want %q", pkg, got, want)
		}
		if got := (*view.Order)(nil).NameOf(e.Name, e.Package, false); got != e.Name {
			t.Errorf("%s without an order: %q", pkg, got)
		}
	}
	e := entry(t, "side-1-1.x86_64")
	if got := o.NameOf(e.Name, e.Package, true); got != e.Name {
		t.Errorf("one of several versions: %q", got)
	}
}

// TestListsOfPath: whose a path is, who else has it, and whether a package has it.
func TestListsOfPath(t *testing.T) {
	one, two := []byte("digest one"), []byte("digest two")
	s := snapshot(
		entry(t, "app-1-1.noarch", ownList("app"), named("tlv-a-own"), file("/p", one), file("/own", one)),
		entry(t, "b-1-1.noarch", named("tlv-b"), file("/p", two)),
		entry(t, "e-1-1.noarch", named("tlv-e"), file("/q", one)),
		entry(t, "c-1-1.noarch", named("tlv-c"), file("/p", one)),
		entry(t, "d-1-1.noarch", named("tlv-d"), in(record.Withheld), file("/p", one), file("/r", one)),
	)
	for path, want := range map[string]string{"/p": "tlv-b", "/q": "tlv-e", "/own": "tlv-a-own", "/r": "", "/s": ""} {
		got := ""
		if e := s.ListOfPath(path); e != nil {
			got = e.Name
		}
		if got != want {
			t.Errorf("%s belongs to %q, want %q", path, got, want)
		}
	}
	for _, tc := range []struct {
		not       string
		digest    []byte
		path      string
		heir      string
		ofPackage bool
	}{
		{"tlv-b", one, "/p", "tlv-a-own", true},
		{"tlv-a-own", one, "/p", "tlv-c", true},
		{"tlv-c", two, "/p", "tlv-b", true},
		{"tlv-b", two, "/p", "tlv-c", true}, // with another content
		{"tlv-e", one, "/q", "", true},
		{"", one, "/own", "tlv-a-own", false},
		{"", one, "/r", "", false},
		{"", two, "/q", "tlv-e", false},
		{"", one, "/s", "", false},
	} {
		if got := s.Heir(tc.not, tc.digest, []byte(tc.path)); got != tc.heir {
			t.Errorf("%s goes from %q to %q, want %q", tc.path, tc.not, got, tc.heir)
		}
		if got := s.PackageHas(tc.digest, []byte(tc.path)); got != tc.ofPackage {
			t.Errorf("a package has %s with %s: %v", tc.path, tc.digest, got)
		}
	}
	if got := names(slices.Collect(s.Lookup.WithPath(view.PathRef([]byte("/r"))))); !slices.Equal(got, []string{"tlv-d"}) {
		t.Errorf("/r may be in %q", got)
	}
}

func TestDigestRef(t *testing.T) {
	for digest, want := range map[string]uint64{"\x01\x02\x03\x04\x05\x06\x07\x08\x09": 0x0102030405060708, "\x01\x02\x03": 0, "": 0} {
		if got := view.DigestRef([]byte(digest)); got != want {
			t.Errorf("%x: %x, want %x", digest, got, want)
		}
	}
}
