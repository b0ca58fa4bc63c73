// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/digestd/digestd/daemon/api"
)

// statusKernel says what the kernel makes of the lists.
func (t *tui) statusKernel(k api.Kernel) {
	if k.Release == "" {
		return
	}
	t.fact("kernel", "%s, %s", k.Release, digestCacheText(k))
	t.fact("", "%s", appraisalText(k))
	if k.Keys != "" {
		t.fact("", "%s", k.Keys)
		return
	}
	t.fact("", "%s", keyringText(k))
	t.fact("", "%s", blacklistText(k))
}

func digestCacheText(k api.Kernel) string {
	switch k.DigestCache {
	case "yes":
		return "has the Integrity Digest Cache, which looks into " + k.DefaultPath
	case "no":
		return "without the Integrity Digest Cache: it enforces no lists"
	}
	return "nothing tells whether it has the Integrity Digest Cache"
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
		return "no .ima keyring: nothing can be enrolled"
	case k.Enrolled:
		return "the list signer's certificate is in " + k.Keyring
	case k.KeyringOpen:
		return "the list signer's certificate is not in " + k.Keyring + ": digestctl keys enrol --ima"
	}
	return "the list signer's certificate is not in " + k.Keyring + ", to which nothing can be added"
}

func blacklistText(k api.Kernel) string {
	s := ".blacklist has " + count(k.Blacklisted, "entry", "entries")
	if k.BlacklistOpen {
		s += ", and takes signed ones"
	} else {
		s += ", and takes none"
	}
	switch {
	case k.Notifications:
		return s + "; changes to it are told at once"
	case k.Poll > 0:
		return s + fmt.Sprintf("; looked at every %v", k.Poll)
	}
	return s
}
