// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/policy"
	"github.com/digestd/digestd/store/record"
)

func ownList(name string) *view.Entry {
	return listOf(name, "1-1", func(e *view.Entry) { e.Own = name })
}

// TestSetOwn: what readers have stays, and the record is queued.
func TestSetOwn(t *testing.T) {
	s := with(state.Settings{}, ownList("app"), listOf("bash", "1-1"))
	s.Own = nil // as of a start that found none
	wants(t, event(t, s, func() { s.SetOwn(record.Own{Name: "app", List: "tlv-app-0:1-1.noarch"}) }), "own app")
	seen := s.Own
	wants(t, event(t, s, func() { s.SetOwn(record.Own{Name: "stale", List: "tlv-bash-0:1-1.noarch"}) }), "own stale")
	if len(seen) != 1 || len(s.Own) != 2 {
		t.Errorf("%v, then %v", seen, s.Own)
	}
	if e := s.OwnEntry("app"); e == nil || e.Own != "app" {
		t.Errorf("its entry is %+v", e)
	}
	for _, name := range []string{"stale", "absent"} {
		if e := s.OwnEntry(name); e != nil {
			t.Errorf("the entry of %s is %+v", name, e.List)
		}
	}
}

// TestJudgeOrigin: an own list goes the way of the version whose header it is.
func TestJudgeOrigin(t *testing.T) {
	s := with(state.Settings{Mode: policy.Withhold}, listOf("old", "2-1"))
	s.SetLine(record.Line{Name: "old", Arch: "noarch", High: evr("2", "1")})
	s.SetLine(record.Line{Name: "low", Arch: "noarch", Floor: evr("2", "1")})
	deny(s, record.Denial{Package: "bad"})
	for _, test := range []struct {
		pkg        string
		judge, now policy.Reason // on import, and later
	}{
		{"", "", ""}, {"no package", "", ""}, {"fine-0:1-1.noarch", "", ""},
		{"bad-0:1-1.noarch", policy.ReasonDenied, policy.ReasonDenied},
		{"low-0:1-1.noarch", policy.ReasonRollbackFloor, policy.ReasonRollbackFloor},
		{"old-0:1-1.noarch", policy.ReasonRollback, ""}, // it is older than what rpm installed
	} {
		o := record.Own{Name: "app", Package: test.pkg}
		if d := s.JudgeOrigin(o); d.Reason != test.judge {
			t.Errorf("%s: judged %+v", test.pkg, d)
		}
		if d := s.originRefused(o); d.Reason != test.now {
			t.Errorf("%s: may not stay: %+v", test.pkg, d)
		}
		o.Removed = noon
		if d := s.originRefused(o); d != (policy.Decision{}) {
			t.Errorf("%s: removed, and refused: %+v", test.pkg, d)
		}
	}
}

// TestOwnRefused: an own list is active while its key is trusted, and neither its origin,
// a denial nor the kernel speaks against it.
func TestOwnRefused(t *testing.T) {
	good, bad := newOwner(t, "good"), newOwner(t, "bad")
	body := record.Digest{1}
	for name, test := range map[string]struct {
		own  record.Own
		want policy.Reason
	}{
		"by nobody":                   {record.Own{}, ""},
		"by a key":                    {record.Own{KeyKind: view.KeyPGP, Key: good.print()}, ""},
		"by a revoked key":            {record.Own{KeyKind: view.KeyPGP, Key: bad.print()}, policy.ReasonKeyRevoked},
		"by an unknown key":           {record.Own{KeyKind: view.KeyPGP, Key: strings.Repeat("0", 40)}, policy.ReasonKeyRevoked},
		"by a certificate":            {record.Own{KeyKind: view.KeyX509, Key: "trusted"}, ""},
		"by a revoked certificate":    {record.Own{KeyKind: view.KeyX509, Key: "revoked"}, policy.ReasonKeyRevoked},
		"by an unknown certificate":   {record.Own{KeyKind: view.KeyX509, Key: "unknown"}, policy.ReasonKeyRevoked},
		"of a denied package":         {record.Own{Package: "bad-0:1-1.noarch"}, policy.ReasonDenied},
		"whose body the kernel names": {record.Own{Body: body}, policy.ReasonBlacklisted},
	} {
		s := with(state.Settings{}, ownList("app"))
		s.AdoptKeys(&KeySources{Certs: good.certs(t), Blacklist: blacklisted(view.BinPrefix + body.String()), Complete: true})
		s.SetKey(record.Key{Fingerprint: "revoked", Use: view.UseImport, Revoked: &record.KeyRevocation{Hard: true}})
		s.Importers = map[string]bool{"trusted": true, "revoked": true}
		deny(s, record.Denial{Package: "bad"})
		s.Note(bad.print(), record.KeyRevocation{Hard: true}, noon)
		s.setKeyring(s.keyringOptions().NewKeyring(append(good.certs(t), bad.certs(t)...)...))
		s.Rekey()
		test.own.Name = "app"
		if d := s.OwnRefused(test.own, s.ByName["tlv-app-0:1-1.noarch"]); (d.Verdict == policy.Allow) != (test.want == "") || test.want != "" && d.Reason != test.want {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestWithdrawUnknown: only where the directory may have what the index does not know, and
// not while the index knows nothing at all.
func TestWithdrawUnknown(t *testing.T) {
	s := with(state.Settings{})
	wants(t, event(t, s, s.WithdrawUnknown))
	s.Unsettled = true
	wants(t, event(t, s, s.WithdrawUnknown), "withdraw what is not known")
	if s.Rebuilding() {
		t.Error("an index that was not lost is built anew")
	}
	s.Problem(ProblemIndexLost, api.SeverityError, "lost", "")
	if !s.Rebuilding() {
		t.Error("the index is not built anew")
	}
	if s.LastSync.When = noon; s.Rebuilding() {
		t.Error("after a comparison the index is still built anew")
	}
}
