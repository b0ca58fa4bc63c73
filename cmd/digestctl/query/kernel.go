// SPDX-License-Identifier: Apache-2.0

package query

import (
	"fmt"
	"strings"

	"github.com/digestd/digestd/cmd/digestctl/terminal"
	"github.com/digestd/digestd/daemon/api"
)

// printStatusKernel says what the kernel makes of the lists: whether it enforces them,
// and why not, before what that depends on.
func printStatusKernel(t *terminal.UI, k api.Kernel) {
	if k.Release == "" {
		return
	}
	if why := refusesAll(k); why != "" {
		t.Colored(terminal.Bad, "kernel", "%s refuses every list, and the files that only lists vouch for: %s", k.Release, why)
	} else if why := notEnforced(k); why != "" {
		t.Colored(terminal.Warn, "kernel", "%s enforces no lists: %s", k.Release, why)
	} else {
		t.Colored(terminal.Good, "kernel", "%s enforces the lists in %s", k.Release, k.DefaultPath)
	}
	if k.IMA == "no" {
		return
	}
	t.Fact("", "%s", appraisalText(k))
	if k.Keys != "" {
		t.Fact("", "%s", k.Keys)
		return
	}
	t.Fact("", "%s", keyringText(k))
	t.Fact("", "%s", blacklistText(k))
}

// notEnforced is what stands between the kernel and the lists, "" for nothing. It assumes
// nothing that the kernel does not report.
func notEnforced(k api.Kernel) string {
	switch {
	case k.IMA == "no":
		return "it has no IMA"
	case k.DigestCache == "no":
		return "it has no Integrity Digest Cache"
	case k.DigestCache != "yes":
		return "cannot tell whether it has the Integrity Digest Cache"
	case k.Appraisal == "no":
		return "its IMA cannot appraise"
	case k.AppraiseMode != "enforce":
		return "appraisal is in mode " + k.AppraiseMode
	case k.AppraiseLists == "no":
		return "its policy does not appraise lists; see: digestctl ima-policy"
	case k.AppraiseLists != "yes":
		return "cannot tell whether its policy appraises lists; see: digestctl doctor"
	}
	return ""
}

// refusesAll is why the kernel enforces its policy and accepts no list, "" for nothing:
// then whatever the policy appraises is refused, unless it is signed itself.
func refusesAll(k api.Kernel) string {
	if notEnforced(k) != "" {
		return ""
	}
	switch {
	case k.Keys == "" && !k.Enrolled:
		return "it does not trust the certificate that signs them; see: digestctl keys enrol --help"
	case k.Modsig == "no":
		return "it does not verify appended signatures, which lists have"
	case strings.ContainsAny(k.DefaultPath, "\n\r"):
		return fmt.Sprintf("it looks for them in %q, including the newline that echo adds; see: digestctl doctor", k.DefaultPath)
	}
	return ""
}

func appraisalText(k api.Kernel) string {
	switch {
	case k.IMA == "no":
		return "no IMA"
	case k.Appraisal == "no":
		return "IMA without appraisal"
	}
	s := "IMA appraisal " + k.AppraiseMode
	switch {
	case k.AppraiseLists == "yes":
		s += ", its policy appraises lists"
	case k.Appraises == "yes":
		s += ", its policy appraises files, and lists: " + k.AppraiseLists
	case k.Appraises == "no":
		s += ", its policy appraises nothing"
	default:
		s += ", its policy cannot be read"
	}
	return s + "; appended signatures: " + k.Modsig
}

func keyringText(k api.Kernel) string {
	switch {
	case k.Keyring == "":
		return "there is no .ima keyring: no certificate can be enrolled"
	case k.Enrolled:
		return "the list signer's certificate is in " + k.Keyring
	case k.KeyringOpen && k.Keyring == ".ima":
		// It takes only what somebody signed whom the kernel trusts.
		return "the list signer's certificate is not in " + k.Keyring + "; see: digestctl keys enrol --help"
	case k.KeyringOpen:
		return "the list signer's certificate is not in " + k.Keyring + ": digestctl keys enrol --ima"
	}
	return "the list signer's certificate is not in " + k.Keyring + ", which accepts no new certificates"
}

func blacklistText(k api.Kernel) string {
	s := ".blacklist has " + terminal.Count(k.Blacklisted, "entry", "entries")
	if k.BlacklistOpen {
		s += ", and accepts signed entries"
	} else {
		s += ", and accepts no entries"
	}
	switch {
	case k.Notifications:
		return s + "; the kernel reports changes"
	case k.Poll > 0:
		return s + fmt.Sprintf("; digestd reads it every %v", k.Poll)
	}
	return s
}
