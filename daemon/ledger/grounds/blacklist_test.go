// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

// bin is the entry of .blacklist for a content.
func bin(content string) string {
	sum := sha256.Sum256([]byte(content))
	return view.BinPrefix + hex.EncodeToString(sum[:])
}

func blacklisted(entries ...string) state.Blacklisted {
	b := state.Blacklisted{Known: true, Entries: map[string]bool{}}
	for _, e := range entries {
		b.Entries[e] = true
	}
	return b
}

// TestApplyBlacklist: entries that concern an active list, or a file of one, are recorded
// once; the others concern nobody here.
func TestApplyBlacklist(t *testing.T) {
	wide := strings.Repeat("ab", 48)
	s := with(state.Settings{},
		listOf("bash", "1-1"), listOf("wide", "1-1", func(e *view.Entry) { e.Wide = wide }),
		listOf("file", "1-1", withContents("fine", "evil")), listOf("gone", "1-1", withheld, withContents("absent")))
	named := []string{bin("body of bash-0:1-1.noarch"), view.BinPrefix + wide, bin("evil")}
	others := []string{bin("body of gone-0:1-1.noarch"), bin("absent"), bin("somewhere else"), "tbs:" + strings.Repeat("00", 32)}
	slices.Sort(named)
	var got []string
	lines := event(t, s, func() {
		s.adoptBlacklist(blacklisted(append(others, named...)...))
		got = s.ApplyBlacklist()
	})
	wants(t, got, named...)
	var want []string
	for _, entry := range named {
		want = append(want, "keys "+entry)
	}
	wants(t, lines[:3], want...)
	if len(lines) != 6 || slices.ContainsFunc(lines[3:], func(line string) bool {
		return !strings.HasPrefix(line, "log key-revoked bin:") || !strings.HasSuffix(line, view.SourceKernel)
	}) {
		t.Errorf("asked for %q", lines)
	}
	for _, entry := range named {
		k := s.Keys[entry]
		if k.Use != view.UseDigest || k.Revoked == nil || !k.Revoked.Hard || k.Source != view.SourceKernel || !k.Gone.Equal(noon) {
			t.Errorf("%s is recorded as %+v", entry, k)
		}
	}
	if a, b := s.Keys[bin("evil")].Algorithm, s.Keys[view.BinPrefix+wide].Algorithm; a != "sha256" || b != "sha384" {
		t.Errorf("digests by %s and %s", a, b)
	}
	// Files are left out by the record from now on; a list that is still there is named still.
	again := event(t, s, func() { got = s.ApplyBlacklist() })
	wants(t, again)
	wants(t, got, slices.DeleteFunc(slices.Clone(named), func(entry string) bool { return entry == bin("evil") })...)
	if len(s.Keys) != 3 {
		t.Errorf("recorded are %v", s.Keys)
	}
}

// TestAdoptBlacklist: what cannot be read says nothing new, and what applied once
// counts until somebody restores it.
func TestAdoptBlacklist(t *testing.T) {
	once, restored, now := bin("once"), bin("restored"), bin("now")
	s := with(state.Settings{})
	s.SetKey(record.Key{Fingerprint: once, Use: view.UseDigest, Revoked: &record.KeyRevocation{Hard: true}})
	s.SetKey(record.Key{Fingerprint: restored, Use: view.UseDigest})
	s.SetKey(record.Key{Fingerprint: bin("a key"), Revoked: &record.KeyRevocation{Hard: true}})
	for _, test := range []struct {
		what state.Blacklisted
		want []string
	}{
		{state.Blacklisted{}, []string{once}},
		{blacklisted(now), []string{once, now}},
		{state.Blacklisted{}, []string{once, now}}, // not read
		{blacklisted(), []string{once}},
	} {
		s.adoptBlacklist(test.what)
		slices.Sort(test.want)
		wants(t, s.Banned.Entries, test.want...)
		if entries := s.Blacklist.Entries; entries[once] {
			t.Error("what was recorded counts as the kernel's word")
		}
	}
}

func TestDigestAlgorithm(t *testing.T) {
	for digits, want := range map[int]string{40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512", 0: "", 63: ""} {
		if got := DigestAlgorithm(view.BinPrefix + strings.Repeat("a", digits)); got != want {
			t.Errorf("%d digits: %q, want %q", digits, got, want)
		}
	}
}

// TestNoteOmitted: what a new list leaves out by the kernel's word is recorded as applied.
func TestNoteOmitted(t *testing.T) {
	s := with(state.Settings{})
	s.adoptBlacklist(blacklisted(bin("evil")))
	o := view.Omission{}
	for _, d := range s.Banned.Denials() {
		o.Add(&d, []byte("/usr/bin/evil"))
	}
	o.Add(&policy.Denial{ID: "d-1", By: "root", Contents: o.By[0].Contents}, []byte("/usr/bin/other"))
	wants(t, event(t, s, func() { s.NoteOmitted(o) }), "keys "+bin("evil"), "log key-revoked "+bin("evil")+" "+view.SourceKernel)
	wants(t, event(t, s, func() { s.NoteOmitted(o) }))
}

// TestUnlessBanned: only what policy allows, and the kernel names, is withheld for that.
func TestUnlessBanned(t *testing.T) {
	one, two := record.Digest(sha256.Sum256([]byte("one"))), record.Digest(sha256.Sum256([]byte("two")))
	veto := policy.Decision{Verdict: policy.Veto, Reason: policy.ReasonDenied}
	pkg := parsed("bash-0:1-1.noarch")
	for name, test := range map[string]struct {
		given  policy.Decision
		bodies []record.Digest
		reason policy.Reason
	}{
		"neither":       {policy.Decision{Reason: policy.ReasonActive}, []record.Digest{two}, policy.ReasonActive},
		"as it is":      {policy.Decision{}, []record.Digest{one, two}, policy.ReasonBlacklisted},
		"as it will be": {policy.Decision{}, []record.Digest{two, one}, policy.ReasonBlacklisted},
		"refused":       {veto, []record.Digest{one}, policy.ReasonDenied},
		"without any":   {policy.Decision{}, nil, ""},
	} {
		s := with(state.Settings{})
		if d := s.UnlessBanned(pkg, test.given, one); d != test.given {
			t.Errorf("%s: before anything was read: %+v", name, d)
		}
		s.adoptBlacklist(blacklisted(bin("one")))
		d := s.UnlessBanned(pkg, test.given, test.bodies...)
		if d.Reason != test.reason || test.reason != policy.ReasonBlacklisted && d != test.given {
			t.Errorf("%s: %+v", name, d)
		}
		if noted := s.Keys[bin("one")].Revoked != nil; noted != (test.reason == policy.ReasonBlacklisted) {
			t.Errorf("%s: recorded is %v", name, noted)
		}
		if noted := d.Reason == policy.ReasonBlacklisted; noted && (d.Verdict != policy.WithholdList || !strings.Contains(d.Text, "bash-1-1.noarch: ") || !strings.Contains(d.Text, "keys restore "+bin("one"))) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestAllowed: neither the list itself may be named, nor what it was before it left
// something out; nor may a floor be above it.
func TestAllowed(t *testing.T) {
	whole := record.Digest(sha256.Sum256([]byte("whole")))
	reduced := func(e *view.Entry) { e.Denied = []string{"d-1"} }
	for name, test := range map[string]struct {
		entry   *view.Entry
		retired record.Retirement
		named   []string
		floor   string
		want    bool
	}{
		"not named":                    {entry: listOf("bash", "1-1"), named: []string{bin("other")}, want: true},
		"named":                        {entry: listOf("bash", "1-1"), named: []string{bin("body of bash-0:1-1.noarch")}},
		"named by another digest":      {entry: listOf("bash", "1-1", func(e *view.Entry) { e.Wide = "abcd" }), named: []string{"bin:abcd"}},
		"was named":                    {listOf("bash", "1-1", reduced), record.Retirement{Reason: state.RetiredDenied}, []string{bin("whole")}, "", false},
		"was named, for itself":        {listOf("bash", "1-1"), record.Retirement{Reason: state.RetiredDenied}, []string{bin("whole")}, "", true},
		"another build was named":      {listOf("bash", "1-1", reduced), record.Retirement{Reason: "replaced"}, []string{bin("whole")}, "", true},
		"of another package was named": {listOf("vim", "1-1", reduced), record.Retirement{Reason: state.RetiredDenied}, []string{bin("whole")}, "", true},
		"below a floor":                {entry: listOf("bash", "1-1"), floor: "2", want: false},
		"not below a floor":            {entry: listOf("bash", "1-1"), floor: "1", want: true},
	} {
		s := with(state.Settings{}, test.entry)
		test.retired.Body, test.retired.Package = whole, parsed("bash-0:1-1.noarch")
		s.SetRetired(test.retired)
		s.adoptBlacklist(blacklisted(test.named...))
		if test.floor != "" {
			s.SetLine(record.Line{Name: "bash", Arch: "noarch", Floor: evr(test.floor, "1")})
		}
		if got := s.Allowed(test.entry); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestTellOfBlobs: that the kernel takes none is nobody's fault here; that some are bad is.
func TestTellOfBlobs(t *testing.T) {
	s := with(state.Settings{})
	s.TellOfBlobs(Delivery{Files: 2, Unable: errors.New("no such file")})
	says(t, s, "blacklist-unable", api.SeverityNotice, "2 files for the kernel's .blacklist cannot be added, so the kernel still accepts what they revoke: no such file")
	says(t, s, "blacklist", "", "")
	s.TellOfBlobs(Delivery{Files: 2, Added: 1, Bad: []error{errors.New("first"), errors.New("second")}})
	says(t, s, "blacklist-unable", "", "")
	says(t, s, "blacklist", api.SeverityWarning, "2 files for the kernel's .blacklist cannot be used: first")
	s.TellOfBlobs(Delivery{Files: 2, Added: 2})
	if len(s.Problems) != 0 {
		t.Errorf("left is %+v", s.Problems)
	}
}
