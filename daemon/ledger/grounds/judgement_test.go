// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/rpmdb/pgp"
	"github.com/digestd/digestd/store/record"
)

// TestOutcome: each error of a signature check has its class, also inside of another.
func TestOutcome(t *testing.T) {
	for _, test := range []struct {
		err  error
		want policy.Class
	}{
		{nil, policy.Good},
		{pgp.ErrUnsigned, policy.NotSigned},
		{&pgp.RevokedError{}, policy.KeyRevoked},
		{&pgp.ExpiredError{}, policy.KeyExpired},
		{&pgp.FutureError{}, policy.FromFuture},
		{&pgp.WeakError{}, policy.WeakSignature},
		{&pgp.UnknownKeyError{}, policy.UnknownKey},
		{&pgp.BadSignatureError{}, policy.BadSignature},
		{errors.New("anything else"), policy.BadSignature},
	} {
		if got := Outcome(test.err); got.Class != test.want || test.err != nil && got.Detail != test.err.Error() {
			t.Errorf("%v: %+v", test.err, got)
		}
		if test.err == nil {
			continue
		}
		if got := Outcome(fmt.Errorf("header: %w", test.err)); got.Class != test.want || !strings.HasPrefix(got.Detail, "header: ") {
			t.Errorf("%v, wrapped: %+v", test.err, got)
		}
	}
}

// former makes an entry one of schema 1, which has the key's fingerprint alone.
func former(key string) func(*view.Entry) {
	return func(e *view.Entry) { e.Key, e.Rules = key, "" }
}

// TestJudge: what vouches for a list now, by what is kept of its signature.
func TestJudge(t *testing.T) {
	good, bad, soft := newOwner(t, "good"), newOwner(t, "bad"), newOwner(t, "soft")
	if err := bad.Revoke(packet.KeyCompromised, "stolen", clock(noon)); err != nil {
		t.Fatal(err)
	}
	if err := soft.Revoke(packet.KeySuperseded, "", clock(noon.Add(-2*time.Hour))); err != nil {
		t.Fatal(err)
	}
	made := func(key string, at, ends time.Time) func(*view.Entry) {
		return func(e *view.Entry) { e.Key, e.Signature = key, &record.Signature{Key: key, Made: at, Ends: ends} }
	}
	const gone = "0000000000000000000000000000000000000000"
	for name, test := range map[string]struct {
		entry    *view.Entry
		unsigned policy.Unsigned
		want     policy.Reason
		verdict  policy.Verdict
		unproven bool
	}{
		"own":                     {entry: ownList("app")},
		"unsigned":                {entry: listOf("bash", "1-1"), want: policy.ReasonUnsigned, verdict: policy.WithholdList},
		"unsigned, allowed":       {entry: listOf("bash", "1-1"), unsigned: policy.UnsignedAllow},
		"good":                    {entry: listOf("bash", "1-1", signedBy(good.print()))},
		"good, by the subkey":     {entry: listOf("bash", "1-1", signedBy(good.subkey()))},
		"good, by other rules":    {entry: listOf("bash", "1-1", signedBy(good.print()), func(e *view.Entry) { e.Rules = "older" }), unproven: true},
		"unknown":                 {entry: listOf("bash", "1-1", signedBy(gone)), want: policy.ReasonUnknownKey, verdict: policy.WithholdList},
		"revoked":                 {entry: listOf("bash", "1-1", signedBy(bad.print())), want: policy.ReasonKeyRevoked, verdict: policy.Veto},
		"superseded before":       {entry: listOf("bash", "1-1", signedBy(soft.print())), want: policy.ReasonKeyRevoked, verdict: policy.Veto},
		"superseded after":        {entry: listOf("bash", "1-1", made(soft.print(), noon.Add(-3*time.Hour), time.Time{}))},
		"ended":                   {entry: listOf("bash", "1-1", made(good.print(), noon.Add(-time.Hour), noon)), want: policy.ReasonKeyExpired, verdict: policy.WithholdList},
		"not ended":               {entry: listOf("bash", "1-1", made(good.print(), noon.Add(-time.Hour), noon.Add(time.Second)))},
		"of schema 1":             {entry: listOf("bash", "1-1", former(good.print())), unproven: true},
		"of schema 1, unknown":    {entry: listOf("bash", "1-1", former(gone)), want: policy.ReasonUnknownKey, verdict: policy.WithholdList, unproven: true},
		"of schema 1, revoked":    {entry: listOf("bash", "1-1", former(bad.print())), want: policy.ReasonKeyRevoked, verdict: policy.Veto, unproven: true},
		"of schema 1, superseded": {entry: listOf("bash", "1-1", former(soft.print())), unproven: true},
	} {
		s := with(state.Settings{Unsigned: test.unsigned}, test.entry)
		s.AdoptKeys(&KeySources{Certs: append(append(good.certs(t), bad.certs(t)...), soft.certs(t)...)})
		d, proven := s.Judge(test.entry)
		if d.Reason != test.want || d.Verdict != test.verdict || proven == test.unproven {
			t.Errorf("%s: %+v, proven %v", name, d, proven)
		}
		if trusted := s.Trusted(test.entry); trusted != (test.verdict == policy.Allow && !test.unproven) {
			t.Errorf("%s: trusted is %v", name, trusted)
		}
	}
}

// TestWithdrawRefused: a key that is not there counts only where all keys could be read.
func TestWithdrawRefused(t *testing.T) {
	const gone = "tlv-gone-0:1-1.noarch"
	s := with(state.Settings{}, listOf("gone", "1-1", signedBy("0000000000000000000000000000000000000000")), listOf("bare", "1-1"),
		listOf("withheld", "1-1", withheld), ownList("app"))
	wants(t, event(t, s, func() { s.WithdrawRefused(true) })) // no key was read yet
	s.KeysRead = true
	lines := event(t, s, func() { s.WithdrawRefused(false) })
	if len(lines) != 5 || lines[1] != "withdraw tlv-bare-0:1-1.noarch" || lines[2] != "lists tlv-bare-0:1-1.noarch withheld unsigned" {
		t.Errorf("asked for %q", lines)
	}
	if !s.ByName[gone].Active() {
		t.Error("what an unread key may vouch for went")
	}
	lines = event(t, s, func() { s.WithdrawRefused(true) })
	if len(lines) != 5 || lines[1] != "withdraw "+gone || lines[2] != "lists "+gone+" withheld unknown-key" {
		t.Errorf("asked for %q", lines)
	}
	if e := s.ByName[gone]; !e.Suspended() || !s.ByName["tlv-app-0:1-1.noarch"].Active() {
		t.Errorf("it is %+v", e.List)
	}
}

// TestRekey: a revocation that is recorded counts, and what was verified before begins again;
// where nothing changes, nothing does.
func TestRekey(t *testing.T) {
	o := newOwner(t, "owner")
	e := listOf("bash", "1-1", signedBy(o.subkey()))
	s := with(state.Settings{}, e)
	s.AdoptKeys(&KeySources{Certs: o.certs(t)})
	basis := s.Basis
	if s.Rekey(); s.Basis != basis || !s.Trusted(e) {
		t.Errorf("basis %d after %d", s.Basis, basis)
	}
	s.Note(o.subkey(), record.KeyRevocation{Hard: true, Source: SourceAdministrator, Act: record.Act{When: noon}}, noon)
	if !s.Trusted(e) {
		t.Error("the keyring changed by itself")
	}
	if s.Rekey(); s.Basis == basis || s.Trusted(e) {
		t.Errorf("basis %d after %d", s.Basis, basis)
	}
}

// TestAdoptAgain: what was verified by other rules is entered as these find it.
func TestAdoptAgain(t *testing.T) {
	const name = "tlv-bash-0:1-1.noarch"
	o := newOwner(t, "owner")
	cert := o.certs(t)[0]
	signature := &record.Signature{Key: cert.Fingerprint, Made: noon.Add(-time.Hour)}
	body := record.Digest(sha256.Sum256([]byte("body of bash-0:1-1.noarch")))
	vouched := view.Verification{Key: cert, Signature: signature, From: noon}
	refused := view.Verification{Vouch: policy.Decision{Verdict: policy.Veto, Reason: policy.ReasonKeyRevoked, Text: "revoked"}}
	for _, test := range []struct {
		name   string
		found  view.Candidate
		stale  bool
		want   []string // the first lines
		reason policy.Reason
		broken bool
		key    string
	}{
		{name: "good", found: view.Candidate{Verification: vouched, Made: view.Made{Body: body}}, want: []string{"lists " + name + " active"}, key: cert.Fingerprint},
		{name: "unsigned, allowed", found: view.Candidate{Made: view.Made{Body: body}}, want: []string{"lists " + name + " active"}},
		{name: "another body", found: view.Candidate{Verification: vouched}, want: []string{"lists " + name + " active"}, broken: true, key: cert.Fingerprint},
		{name: "refused", found: view.Candidate{Verification: refused}, want: []string{"first meta open", "withdraw " + name, "lists " + name + " withheld key-revoked"}, reason: policy.ReasonKeyRevoked, key: "former"},
		{name: "nothing to vouch for", found: view.Candidate{Verification: vouched, None: &policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonNoFiles}},
			want: []string{"first meta open", "withdraw " + name, "lists " + name + " withheld no-files"}, reason: policy.ReasonNoFiles, key: "former"},
		{name: "refused, and nothing to vouch for", found: view.Candidate{Verification: refused, None: &policy.Decision{Verdict: policy.WithholdList, Reason: policy.ReasonNoFiles}},
			want: []string{"first meta open", "withdraw " + name, "lists " + name + " withheld key-revoked"}, reason: policy.ReasonKeyRevoked, key: "former"},
		{name: "changed meanwhile", found: view.Candidate{Verification: refused}, stale: true, key: "former"},
	} {
		e := listOf("bash", "1-1", former("former"))
		s := with(state.Settings{}, e)
		if test.stale {
			again := *e
			s.Put(&again)
		}
		lines := event(t, s, func() { s.AdoptAgain([]Again{{e, &test.found}}) })
		if len(test.want) > len(lines) || len(test.want) == 0 && len(lines) > 0 {
			t.Errorf("%s: asked for %q", test.name, lines)
			continue
		}
		wants(t, lines[:len(test.want)], test.want...)
		now := s.ByName[name]
		if now.Reason != string(test.reason) || now.Broken != test.broken || now.Key != test.key || now.Active() != (test.reason == "") {
			t.Errorf("%s: it is %+v, broken %v", test.name, now.List, now.Broken)
		}
		if test.reason == "" && !test.stale && now.Rules != "rules" {
			t.Errorf("%s: it was verified by %q", test.name, now.Rules)
		}
		if test.key == cert.Fingerprint && (now.Signature != signature || !now.From.Equal(noon)) {
			t.Errorf("%s: %+v", test.name, now.List)
		}
	}
}

// TestUnlessHeld: a key of which a revocation cannot be verified vouches for nothing new.
func TestUnlessHeld(t *testing.T) {
	e, gone := listOf("bash", "1-1"), listOf("vim", "1-1", withheld)
	s := with(state.Settings{}, e, gone)
	veto := policy.Decision{Verdict: policy.Veto, Reason: policy.ReasonDenied}
	for name, test := range map[string]struct {
		given  policy.Decision
		held   string
		header record.Digest
		want   policy.Reason
	}{
		"not held":               {policy.Decision{}, "", record.Digest{1}, ""},
		"held":                   {policy.Decision{}, "why", record.Digest{1}, policy.ReasonKeyHeld},
		"held, and there":        {policy.Decision{}, "why", e.Header, ""},
		"held, and withheld":     {policy.Decision{}, "why", gone.Header, policy.ReasonKeyHeld},
		"held, and refused else": {veto, "why", record.Digest{1}, policy.ReasonDenied},
	} {
		c := &view.Candidate{Pkg: e.Package, Header: test.header, Verification: view.Verification{Held: test.held}}
		if d := s.UnlessHeld(c, test.given); d.Reason != test.want || test.want == policy.ReasonKeyHeld && d.Verdict != policy.WithholdList {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
