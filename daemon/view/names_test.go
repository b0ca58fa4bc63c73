// SPDX-License-Identifier: Apache-2.0

package view_test

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist/nevra"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// versions are a snapshot of packages of known and of unclear epochs.
func versions(t *testing.T) *view.Snapshot {
	s := snapshot(
		entry(t, "bind-32:9-1.x86_64"),
		entry(t, "perl-4:5-1.x86_64"), entry(t, "perl-4:6-1.x86_64"),
		entry(t, "kernel-5-1.x86_64"), entry(t, "kernel-2:6-1.x86_64"),
		entry(t, "mixed-1:1-1.x86_64"), entry(t, "mixed-3:1-1.noarch"))
	s.Lines = map[view.LineID]record.Line{
		{Name: "bind", Arch: "x86_64"}:  {High: version(t, "40:1-1")}, // what is installed goes before
		{Name: "gone", Arch: "x86_64"}:  {High: version(t, "7:2-1"), Retired: version(t, "7:1-1")},
		{Name: "floor", Arch: "x86_64"}: {High: version(t, "1:2-1"), Floor: version(t, "2:1-1")},
		{Name: "every"}:                 {Floor: version(t, "5:1-1")},
		{Name: "empty", Arch: "x86_64"}: {},
		{Name: "kernel", Arch: "x86_64"}: {Grants: []record.Grant{{EVR: version(t, "3:7-1")},
			{EVR: version(t, "8:8-1")}, {EVR: version(t, "9:8-1")}}},
	}
	return s
}

func TestEpoch(t *testing.T) {
	s := versions(t)
	for _, tc := range []struct {
		name, arch string
		epoch      uint32
		known      bool
		advice     string // of the refusal, if it is one
	}{
		{"bind", "x86_64", 32, true, ""},
		{"bind", "", 32, true, ""},
		{"perl", "x86_64", 4, true, ""},
		{"kernel", "x86_64", 0, true, "give the epoch: 0:9-1 or 2:9-1"},
		{"mixed", "x86_64", 1, true, ""},
		{"mixed", "noarch", 3, true, ""},
		{"mixed", "", 0, true, "give the epoch: 1:9-1 or 3:9-1"},
		{"mixed", "s390x", 0, true, "give the epoch: 1:9-1 or 3:9-1"}, // of other architectures
		{"bind", "s390x", 32, true, ""},
		{"gone", "x86_64", 7, true, ""},
		{"gone", "", 7, true, ""},
		{"gone", "s390x", 7, true, ""},
		{"floor", "x86_64", 0, true, "give the epoch: 1:9-1 or 2:9-1"},
		{"every", "x86_64", 5, true, ""},
		{"every", "", 5, true, ""},
		{"empty", "x86_64", 0, false, ""},
		{"absent", "x86_64", 0, false, ""},
		{"absent", "", 0, false, ""},
	} {
		epoch, known, err := s.Epoch(tc.name, tc.arch, "9-1")
		if tc.advice == "" {
			if epoch != tc.epoch || known != tc.known || err != nil {
				t.Errorf("%s.%s: %d, %v, %v, want %d, %v", tc.name, tc.arch, epoch, known, err, tc.epoch, tc.known)
			}
			continue
		}
		if code(t, err) != api.InvalidArgument || !known || err.(*api.Error).Advice != tc.advice {
			t.Errorf("%s.%s: %d, %v, %+v, want the advice %q", tc.name, tc.arch, epoch, known, err, tc.advice)
		}
		if err != nil && err.Error() != tc.name+" has versions with several epochs here, and 9-1 gives none" {
			t.Errorf("%s.%s: %v", tc.name, tc.arch, err)
		}
	}
}

func TestResolve(t *testing.T) {
	s := versions(t)
	for text, want := range map[string]string{
		"bind-9-1.x86_64":      "bind-32:9-1.x86_64",
		"bind-8-1.x86_64":      "bind-32:8-1.x86_64",
		"bind-0:9-1.x86_64":    "bind-9-1.x86_64", // as it was said
		"kernel-5-1.x86_64":    "kernel-5-1.x86_64",
		"kernel-6-1.x86_64":    "kernel-2:6-1.x86_64",
		"kernel-7-1.x86_64":    "kernel-3:7-1.x86_64", // that is granted
		"kernel-8-1.x86_64":    "",                    // two are granted
		"kernel-9-1.x86_64":    "",
		"kernel-2:9-1.x86_64":  "kernel-2:9-1.x86_64",
		"absent-1-1.x86_64":    "absent-1-1.x86_64",
		"own:app-1:1-1.noarch": "own:app-1:1-1.noarch",
	} {
		pkg, err := nevra.Parse(text)
		if rest, own := strings.CutPrefix(text, view.OwnPrefix); own {
			pkg, err = nevra.Parse(rest)
			pkg.Name = view.OwnPrefix + pkg.Name
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Resolve(pkg, text)
		switch {
		case want == "" && code(t, err) != api.InvalidArgument:
			t.Errorf("%s: %s, %v", text, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestResolveRange(t *testing.T) {
	s := versions(t)
	for text, want := range map[string]struct {
		says string // "" if it is refused
		any  bool
	}{
		"bind":                {"bind", false},
		"bind<9.1-3":          {"bind<32:9.1-3", false},
		"bind<9.1":            {"bind<32:9.1", false},
		"bind<0:9.1":          {"bind<9.1", false},
		"bind-9-1.x86_64":     {"bind-32:9-1.x86_64", false},
		"kernel<7":            {"", false},
		"kernel.x86_64<7":     {"", false},
		"kernel-6-1.x86_64":   {"kernel-2:6-1.x86_64", false},
		"kernel-9-1.x86_64":   {"", false},
		"mixed.noarch<2-1":    {"mixed.noarch<3:2-1", false},
		"absent<2-1":          {"absent<2-1", true},
		"absent-2-1.x86_64":   {"absent-2-1.x86_64", true},
		"absent-1:2-1.x86_64": {"absent-1:2-1.x86_64", false},
		"absent":              {"absent", false},
	} {
		d, err := policy.ParseSubject(text, s.KnownName)
		if err != nil {
			t.Fatal(err)
		}
		err = s.ResolveRange(&d.Package, text)
		switch {
		case want.says == "":
			if code(t, err) != api.InvalidArgument {
				t.Errorf("%s: %s, %v", text, d.Package, err)
			}
		case err != nil || d.Package.String() != want.says || d.Package.AnyEpoch != want.any:
			t.Errorf("%s: %s in any epoch %v, %v, want %+v", text, d.Package, d.Package.AnyEpoch, err, want)
		}
	}
}

func TestKnownName(t *testing.T) {
	s := versions(t)
	for name, want := range map[string]bool{"bind": true, "gone": true, "empty": true, "absent": false, "bin": false, "": false} {
		if s.KnownName(name) != want {
			t.Errorf("%q is known: %v", name, !want)
		}
	}
}
