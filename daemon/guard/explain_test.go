// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestd/digestd/daemon/api"
	protocol "github.com/digestd/digestd/daemon/guard"
	"github.com/digestd/digestd/kernel/guard"
)

// Lists explain what they decide, and the kernel the rest.
func TestExplain(t *testing.T) {
	unknown := api.Why{Verdict: api.VerdictUnknown, Text: "not vouched for: no list includes it", Reasons: []string{"because"}, Advice: "install it"}
	vouched := api.Why{Verdict: api.VerdictVouched, Vouched: true, Text: "vouched for by a-1-1, list tlv-a", Owner: "a-1-1"}
	const digest = "ab"
	for name, c := range map[string]struct {
		denial protocol.Denial
		why    api.Why
		listed bool
		want   api.GuardWhy
	}{
		"unlisted":          {protocol.Denial{Reason: "unlisted", Digest: digest}, unknown, false, api.GuardWhy{Verdict: "unknown", Text: unknown.Text, Reasons: unknown.Reasons, Advice: "install it"}},
		"nobody was asked":  {protocol.Denial{Reason: "unlisted", Digest: digest}, api.Why{}, false, api.GuardWhy{Text: "no active list includes it"}},
		"without a digest":  {protocol.Denial{Reason: "unlisted"}, unknown, false, api.GuardWhy{Text: "no active list includes it"}},
		"listed since":      {protocol.Denial{Reason: "unlisted", Digest: digest}, vouched, true, api.GuardWhy{Verdict: "vouched", Text: "it is allowed now: vouched for by a-1-1, list tlv-a", Owner: "a-1-1"}},
		"not heard of yet":  {protocol.Denial{Reason: "unlisted", Digest: digest}, vouched, false, api.GuardWhy{Verdict: "vouched", Text: "the guard does not know yet that it is vouched for by a-1-1, list tlv-a", Owner: "a-1-1", Advice: "compare all lists: digestctl sync"}},
		"written":           {protocol.Denial{Reason: "written", Digest: digest}, vouched, true, api.GuardWhy{Text: "a process had it open for writing", Advice: "close it in the process that has it open for writing, then try again"}},
		"of a newer kernel": {protocol.Denial{Reason: "99"}, unknown, false, api.GuardWhy{Text: "99"}},
	} {
		if diff := cmp.Diff(c.want, c.denial.Explain(c.why, c.listed)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	// Each reason that the kernel has can be told.
	for r := guard.Unlisted; r <= guard.NoFile; r++ {
		if w := (protocol.Denial{Reason: r.String()}).Explain(api.Why{}, false); w.Text == r.String() {
			t.Errorf("%s has no words", r)
		}
	}
}
