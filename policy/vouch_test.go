// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/digestd/digestd/policy"
)

func TestVouch(t *testing.T) {
	pkg := bash(evr(t, "1-1"))
	for _, tc := range []struct {
		class  policy.Class
		reason policy.Reason // when it is not vouched for
		advice string
	}{
		{policy.Good, "", ""},
		{policy.NotSigned, policy.ReasonUnsigned, `unsigned = "allow"`},
		{policy.UnknownKey, policy.ReasonUnknownKey, "rpmkeys --import"},
		{policy.BadSignature, policy.ReasonBadSignature, "damaged or forged"},
		{policy.WeakSignature, policy.ReasonWeakSignature, "current algorithms"},
		{policy.KeyRevoked, policy.ReasonKeyRevoked, "another key"},
		{policy.KeyExpired, policy.ReasonKeyExpired, "renewed key"},
	} {
		for i := range 6 {
			mode, unsigned := policy.Mode(i/2), policy.Unsigned(i%2)
			d := policy.Vouch(mode, unsigned, pkg, policy.Outcome{Class: tc.class, Detail: "the detail"})
			// Only that nobody signed can be allowed.
			if tc.reason == "" || tc.class == policy.NotSigned && unsigned == policy.UnsignedAllow {
				if d != (policy.Decision{}) {
					t.Errorf("class %d, %v: %+v", tc.class, unsigned, d)
				}
				continue
			}
			want := policy.WithholdList
			if tc.class == policy.KeyRevoked && mode == policy.Enforce {
				want = policy.Veto
			}
			if d.Verdict != want || d.Reason != tc.reason || d.Reason.Rollback() || d.Grant {
				t.Errorf("class %d, %v, %v: %+v", tc.class, mode, unsigned, d)
			}
			if !strings.HasPrefix(d.Text, "bash-1-1.x86_64: the detail; ") || !strings.Contains(d.Text, tc.advice) {
				t.Errorf("class %d says %q", tc.class, d.Text)
			}
		}
	}
	if d := policy.NoFiles(pkg); d.Verdict != policy.WithholdList || d.Reason != policy.ReasonNoFiles || !strings.Contains(d.Text, "bash-1-1.x86_64") {
		t.Errorf("%+v", d)
	}
	if d := policy.WeakDigests(pkg, "md5"); d.Verdict != policy.WithholdList || d.Reason != policy.ReasonWeakDigests || d.Text != "bash-1-1.x86_64: md5" {
		t.Errorf("%+v", d)
	}
}

func TestSettings(t *testing.T) {
	for text, mode := range map[string]policy.Mode{"enforce": policy.Enforce, "withhold": policy.Withhold, "audit": policy.Audit} {
		if got, err := policy.ParseMode(text); err != nil || got != mode || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, unsigned := range map[string]policy.Unsigned{"withhold": policy.UnsignedWithhold, "allow": policy.UnsignedAllow} {
		if got, err := policy.ParseUnsigned(text); err != nil || got != unsigned || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "Enforce", "enforce ", "deny"} {
		if got, err := policy.ParseMode(text); err == nil {
			t.Errorf("%q is the mode %v", text, got)
		}
		if got, err := policy.ParseUnsigned(text); err == nil {
			t.Errorf("%q is the policy %v", text, got)
		}
	}
	var m policy.Mode
	var u policy.Unsigned
	if m != policy.Enforce || u != policy.UnsignedWithhold {
		t.Error("what is not set is not the strictest")
	}
}

func TestIsMulti(t *testing.T) {
	globs := []string{"kernel", "kernel-core", "kmod-*", "[", "gpg-pubkey?"}
	for name, want := range map[string]bool{
		"kernel": true, "kernel-core": true, "kmod-nvidia": true, "gpg-pubkey2": true,
		"kernel-devel": false, "akmod-x": false, "[": false, "gpg-pubkey": false, "": false,
	} {
		if got := policy.IsMulti(globs, name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if policy.IsMulti(nil, "kernel") {
		t.Error("without globs, kernel")
	}
}
