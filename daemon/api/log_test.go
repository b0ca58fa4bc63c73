// SPDX-License-Identifier: Apache-2.0

package api

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// A filter travels as it is, and nothing that is not set travels.
func TestLogFilter(t *testing.T) {
	uid := uint32(1000)
	at := time.Date(2026, 11, 28, 12, 0, 0, 123456000, time.UTC)
	for _, f := range []LogFilter{
		{},
		{Kind: "grant*", Package: "bash", List: "tlv-*", Key: "f00d"},
		{Since: at, Until: at.Add(time.Hour), After: 7, Before: 9, UID: &uid},
	} {
		d := f.Dict()
		got, err := ParseLogFilter(d)
		if err != nil {
			t.Errorf("%+v: %v", f, err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Error(diff)
		}
	}
	if d := (LogFilter{}).Dict(); len(d) != 0 {
		t.Errorf("a filter of nothing travels as %v", d)
	}
	for words, d := range map[string]Dict{
		`filter has "colour" of type s`:                  {"colour": dbus.MakeVariant("red")},
		`filter has "kind" of type t`:                    {"kind": dbus.MakeVariant(uint64(1))},
		`filter has "after" of type s`:                   {"after": dbus.MakeVariant("7")},
		`filter has "after" of type u`:                   {"after": dbus.MakeVariant(uint32(7))},
		`filter has "uid" of type b`:                     {"uid": dbus.MakeVariant(true)},
		"at most 1024 are allowed":                       {"kind": dbus.MakeVariant(strings.Repeat("x", 1025))},
		`"kind" contains an unprintable character: "a\n`: {"kind": dbus.MakeVariant("a\nb")},
	} {
		if _, err := ParseLogFilter(d); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v: %v, want %q", d, err, words)
		}
	}
}

func TestEncodeAll(t *testing.T) {
	if got := EncodeAll[Floor](nil); got == nil || len(got) != 0 {
		t.Errorf("no floors travel as %v", got)
	}
	floors := []Floor{{Package: "bash.x86_64", EVR: "5-1"}, {Package: "zsh.x86_64"}}
	back, err := DecodeAll[Floor](EncodeAll(floors))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(floors, back); diff != "" {
		t.Error(diff)
	}
}

func TestStale(t *testing.T) {
	for _, tc := range []struct {
		base, version uint64
		exists        bool
		want          string
	}{
		{0, 0, false, ""}, {0, 3, true, "exists already"}, {3, 0, false, "is gone"}, {3, 4, true, "was changed meanwhile"}, {3, 3, true, ""},
	} {
		if got := (OwnRequest{Base: tc.base}).Stale(tc.version, tc.exists); got != tc.want {
			t.Errorf("made from %d, now %d: %q, want %q", tc.base, tc.version, got, tc.want)
		}
	}
}

// Each kind of finding is counted as what it is, those that were put right and notices
// apart.
func TestCount(t *testing.T) {
	var v Verification
	for _, kind := range []string{FindingChanged, FindingMissing, FindingUnvouched, FindingLabel, FindingList, FindingWithheld, FindingUnreadable, FindingBusy} {
		v.Count(Finding{Kind: kind, Severity: SeverityError})
	}
	v.Count(Finding{Kind: FindingLabel, Severity: SeverityError, Fixed: true})
	v.Count(Finding{Kind: FindingChanged, Severity: SeverityNotice})
	want := Verification{Errors: 8, Notices: 1, Fixed: 1, Counts: VerifyCounts{Changed: 1, Missing: 1, Unvouched: 1, Label: 1, List: 1, Withheld: 1, Unreadable: 2}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestPrivileged(t *testing.T) {
	me := uint32(os.Geteuid())
	for uid, want := range map[uint32]bool{0: true, me: true, me + 1: false} {
		if got := (Actor{UID: uid}).Privileged(); got != want {
			t.Errorf("user %d needs leave: %t", uid, !got)
		}
	}
}
