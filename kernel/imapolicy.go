// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"strings"
)

// IMAPolicy has the parameters of an IMA policy for a machine with digestd.
type IMAPolicy struct {
	// DigestCache says that the kernel has the Integrity Digest Cache. Without it the kernel
	// reads no lists, and wants a signature on each file.
	DigestCache bool

	// Usage is the value of digest_cache= in rules: "data", or "content" for kernels before
	// September 2024. "" is data.
	Usage string

	// PCR is the register that measures lists and files, 0 for none. It must not be IMA's own,
	// 10: there the files in lists would be missing, and a verifier would suspect tampering.
	PCR int
}

// imaPCR is CONFIG_IMA_MEASURE_PCR_IDX, which all distributions leave at this value.
const imaPCR = 10

// IMARule is one rule, in the form for ima/policy in securityfs, and its reason.
type IMARule struct{ Why, Text string }

const kernels = "what the kernel says, no files of a package"

// pseudo are file systems without files of packages, with their magic numbers
// (include/uapi/linux/magic.h); the kernel's own policies exclude them, too.
var pseudo = []struct{ name, magic, why string }{
	{"proc", "0x9fa0", kernels}, {"sysfs", "0x62656572", kernels}, {"debugfs", "0x64626720", kernels},
	{"ramfs", "0x858458f6", "memory, as tmpfs; the initial file system may be one"},
	{"devpts", "0x1cd1", "terminals"}, {"binfmt_misc", "0x42494e4d", kernels}, {"securityfs", "0x73636673", kernels},
	{"selinuxfs", "0xf97cff8c", kernels}, {"smackfs", "0x43415d53", kernels}, {"cgroup", "0x27e0eb", kernels}, {"cgroup2", "0x63677270", kernels},
	{"nsfs", "0x6e736673", kernels}, {"efivarfs", "0xde5e81e4", "the firmware's variables"},
}

// executed are the hooks through which code enters the system.
var executed = []struct{ hook, what string }{
	{"BPRM_CHECK", "programs"},
	{"MMAP_CHECK", "libraries, and whatever else is mapped to be executed"},
	{"MODULE_CHECK", "kernel modules"},
	{"FIRMWARE_CHECK", "firmware"},
	{"KEXEC_KERNEL_CHECK", "the next kernel"},
	{"KEXEC_INITRAMFS_CHECK", "its initial file system"},
}

// Rules returns the rules in the order in which IMA must see them: the first that matches
// decides (Documentation/ABI/testing/ima_policy).
func (p IMAPolicy) Rules() ([]IMARule, error) {
	usage := p.Usage
	if usage == "" {
		usage = "data"
	}
	switch {
	case usage != "data" && usage != "content":
		return nil, fmt.Errorf("digest_cache=%s: want data or content", usage)
	case p.PCR == imaPCR:
		return nil, fmt.Errorf("cannot measure into PCR %d: it is IMA's own, and a list replaces the files that a verifier looks for there", imaPCR)
	case p.PCR != 0 && (p.PCR < 8 || p.PCR > 14):
		return nil, fmt.Errorf("cannot measure into PCR %d: an operating system has 8 to 14", p.PCR)
	case p.PCR != 0 && !p.DigestCache:
		return nil, errors.New("cannot measure by lists: this needs a kernel with the Integrity Digest Cache")
	}
	var rules []IMARule
	add := func(why, format string, args ...any) {
		rules = append(rules, IMARule{why, fmt.Sprintf(format, args...)})
	}
	exclude := func(action string) {
		add("tmpfs: memory files (memfd) and scratch files come from no package; mount it noexec where you can", "%s fsmagic=0x01021994", action)
		for _, fs := range pseudo {
			add(fs.name+": "+fs.why, "%s fsmagic=%s", action, fs.magic)
		}
	}
	if p.PCR != 0 {
		add("measure each list that is read, with its signature, so that a verifier knows which files it stands for",
			"measure func=DIGEST_LIST_CHECK template=ima-modsig pcr=%d", p.PCR)
		exclude("dont_measure")
		for _, e := range executed {
			add("measure "+e.what+", unless a list that was measured has them", "measure func=%s digest_cache=%s pcr=%d", e.hook, usage, p.PCR)
		}
	}
	if p.DigestCache {
		add("a list counts only with a good signature; this form also asks .blacklist for its digest (bin:), by which a retired list stays out",
			"appraise func=DIGEST_LIST_CHECK appraise_type=imasig|modsig")
	}
	exclude("dont_appraise")
	for _, e := range executed {
		if p.DigestCache {
			add(e.what+": what an active list has, or what is signed itself", "appraise func=%s digest_cache=%s", e.hook, usage)
		} else {
			add(e.what+": only what is signed itself (security.ima)", "appraise func=%s appraise_type=imasig", e.hook)
		}
	}
	return rules, nil
}

// Text returns the policy as a file: each rule below its reason.
func (p IMAPolicy) Text() (string, error) {
	rules, err := p.Rules()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, line := range p.preface() {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	for _, r := range rules {
		if r.Why != "" {
			fmt.Fprintf(&b, "\n# %s\n", r.Why)
		}
		b.WriteString(r.Text + "\n")
	}
	return b.String(), nil
}

func (p IMAPolicy) preface() []string {
	common := []string{
		"",
		"Try it with ima_appraise=log on the kernel's command line, and read the journal, before you boot with",
		"ima_appraise=enforce: what no rule excludes and nothing vouches for does not run, the initial file system's",
		"programs included. systemd loads it from /etc/ima/ima-policy at boot.",
	}
	if p.DigestCache {
		return append([]string{
			"IMA policy for a kernel with the Integrity Digest Cache and lists kept by digestd.",
			"The certificate that signs the lists must be in the kernel's .ima keyring: digestctl keys.",
		}, common...)
	}
	return append([]string{
		"IMA policy for a kernel without the Integrity Digest Cache: it does not look into digest lists, so every",
		"file needs a signature of its own, by a certificate in the kernel's .ima keyring.",
	}, common...)
}
