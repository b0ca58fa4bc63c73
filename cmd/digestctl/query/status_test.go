// SPDX-License-Identifier: Apache-2.0

package query

import (
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// midday is a time of which these tests tell.
var midday = time.Date(2026, 7, 14, 12, 0, 0, 0, time.UTC)

func TestVouched(t *testing.T) {
	for _, c := range []struct {
		packages, withheld int
		want               string
	}{
		{0, 0, "no package is installed"},
		{1, 0, "1 package, which is vouched for"},
		{1, 1, "the one package is not vouched for"},
		{812, 0, "812 packages, all vouched for"},
		{812, 6, "806 of 812 packages are vouched for"},
	} {
		st := api.Status{Packages: c.packages, Lists: api.Counts{Withheld: c.withheld}}
		if got := vouched(st); got != c.want {
			t.Errorf("%d of %d withheld: %q", c.withheld, c.packages, got)
		}
	}
}

func TestVerified(t *testing.T) {
	v := api.Verification{Ended: midday, Files: 3}
	for errors, want := range map[int]string{
		0: terminal.Moment(midday) + ", 3 files, no differences",
		2: terminal.Moment(midday) + ", 2 of 3 files with differences; see: digestctl verify --findings",
	} {
		v.Errors = errors
		if got := verified(v); got != want {
			t.Errorf("%d errors: %q", errors, got)
		}
	}
	if got := verified(api.Verification{}); got != "" {
		t.Errorf("never: %q", got)
	}
}

func TestPolicyCounts(t *testing.T) {
	for counts, want := range map[api.PolicyCounts]string{
		{InForce: 2, Packaged: 1}:                        "2 in force, 1 of them from packages",
		{InForce: 2, Packaged: 1, Lapsed: 1, Refused: 3}: "2 in force, 1 of them from packages, 1 gone, 3 refused",
	} {
		style, got := policyCounts(counts)
		if got != want || (style == terminal.Warn) != (counts.Refused > 0) {
			t.Errorf("%+v: %s %q", counts, style, got)
		}
	}
}

func TestDeploymentState(t *testing.T) {
	since := "since " + terminal.Moment(midday)
	for want, d := range map[string]api.Deployment{
		since: {Since: midday, Compared: true},
		since + ", ostree os 0123456789ab.0 before":                                         {Since: midday, Compared: true, Former: "ostree os 0123456789ab.0"},
		since + "; not compared yet":                                                        {Since: midday, Older: 3},
		since + ", btrfs subvolume /a before; 1 package is older than what was active here": {Since: midday, Compared: true, Former: "btrfs subvolume /a", Older: 1},
		since + "; 12 packages are older than what was active here":                         {Since: midday, Compared: true, Older: 12},
	} {
		style, got := deploymentState(d)
		if got != want || (style == terminal.Warn) != (!d.Compared || d.Older > 0) {
			t.Errorf("%+v: %s %q", d, style, got)
		}
	}
}

func TestEndStyle(t *testing.T) {
	for days, want := range map[int]terminal.Style{-1: terminal.Bad, 1: terminal.Warn, 29: terminal.Warn, 31: terminal.Plain} {
		if got := endStyle(midday.AddDate(0, 0, days), midday); got != want {
			t.Errorf("in %d days: %q", days, got)
		}
	}
}

func TestKernelThatEnforces(t *testing.T) {
	whole := api.Kernel{Release: "6.12", IMA: "yes", DigestCache: "yes", DefaultPath: "/etc/digest_lists", Appraisal: "yes", AppraiseMode: "enforce",
		AppraiseLists: "yes", Keyring: ".ima", Enrolled: true}
	if why := notEnforced(whole); why != "" {
		t.Error(why)
	}
	for want, lack := range map[string]func(k *api.Kernel){
		"it has no IMA":                                                         func(k *api.Kernel) { k.IMA = "no" },
		"it has no Integrity Digest Cache":                                      func(k *api.Kernel) { k.DigestCache = "no" },
		"cannot tell whether it has the Integrity Digest Cache":                 func(k *api.Kernel) { k.DigestCache = "unknown" },
		"its IMA cannot appraise":                                               func(k *api.Kernel) { k.Appraisal = "no" },
		"appraisal is in mode log":                                              func(k *api.Kernel) { k.AppraiseMode = "log" },
		"its policy does not appraise lists; see: digestctl ima-policy":         func(k *api.Kernel) { k.AppraiseLists = "no" },
		"cannot tell whether its policy appraises lists; see: digestctl doctor": func(k *api.Kernel) { k.AppraiseLists = "unknown" },
	} {
		k := whole
		lack(&k)
		if got := notEnforced(k); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if why := refusesAll(k); why != "" {
			t.Errorf("a kernel of which holds that %s is said to refuse every list: %s", want, why)
		}
	}
}

func TestKernelThatRefusesEverything(t *testing.T) {
	whole := api.Kernel{Release: "6.12", IMA: "yes", DigestCache: "yes", DefaultPath: "/etc/digest_lists", Appraisal: "yes", AppraiseMode: "enforce",
		AppraiseLists: "yes", Modsig: "yes", Keyring: ".ima", Enrolled: true}
	if why := refusesAll(whole); why != "" {
		t.Error(why)
	}
	for want, lack := range map[string]func(k *api.Kernel){
		"it does not trust the certificate that signs them; see: digestctl keys enrol --help": func(k *api.Kernel) { k.Enrolled = false },
		"it does not verify appended signatures, which lists have":                            func(k *api.Kernel) { k.Modsig = "no" },
		`it looks for them in "/etc/digest_lists\n", including the newline that echo adds; see: digestctl doctor`: func(k *api.Kernel) {
			k.DefaultPath += "\n"
		},
	} {
		k := whole
		lack(&k)
		if got := refusesAll(k); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if why := notEnforced(k); why != "" {
			t.Errorf("a kernel that refuses everything, for %s, is said to enforce nothing: %s", want, why)
		}
	}
}
