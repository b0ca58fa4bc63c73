// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/digestd/digestd/kernel"
)

// The files in which the kernel shows its integrity subsystem.
const (
	securityfs  = "/sys/kernel/security"
	imaDir      = securityfs + "/ima"
	defaultPath = "/" + kernel.DigestCachePath
	imaPolicy   = "/etc/ima/ima-policy"
)

// maxFile bounds what is read of a file of the kernel's.
const maxFile = 1 << 20

func (p *patient) read(path string) (string, error) {
	f, err := os.Open(p.at(path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(data), err
}

func (p *patient) features() kernel.Features { return kernel.Detect(p.at("/")) }

func lookKernel(_ context.Context, p *patient) {
	k := p.features()
	switch {
	case !k.SecurityFS && k.IMA != kernel.No && p.hidden(securityfs):
		p.skip("only root may read %s", securityfs)
		return
	case k.IMA == kernel.No:
		p.fail("grep CONFIG_IMA /boot/config-$(uname -r)", "Linux %s has no IMA: it enforces no lists", k.Release)
		p.advise("digestd keeps the lists anyway; to use them, boot a kernel with CONFIG_IMA and CONFIG_IMA_APPRAISE")
		return
	case !k.SecurityFS:
		p.fail("mount -t securityfs securityfs "+securityfs, "Linux %s: cannot tell whether it has IMA, because %s is not mounted", k.Release, securityfs)
		return
	case k.Appraisal == kernel.No:
		p.fail("grep CONFIG_IMA_APPRAISE /boot/config-$(uname -r)", "IMA of Linux %s cannot appraise: it enforces no lists", k.Release)
		p.advise("boot a kernel with CONFIG_IMA_APPRAISE")
		return
	case k.DigestCache != kernel.Yes:
		p.warn("", "Linux %s has IMA, but not the Integrity Digest Cache: it does not read lists, so it does not enforce them", k.Release)
		p.advise("boot a kernel with CONFIG_INTEGRITY_DIGEST_CACHE; or set ima-signatures in %s: digestd then signs each executable, which every kernel with IMA can enforce", p.Config)
	default:
		p.ok("Linux %s has IMA and the Integrity Digest Cache", k.Release)
		if k.DefaultPath != p.conf.Lists && k.DefaultPath != "" {
			p.fail(fmt.Sprintf("printf %%s %s >%s", shell(p.conf.Lists), defaultPath), "the kernel looks for lists in %s, but they are in %s", quoted(k.DefaultPath), p.conf.Lists)
		}
	}
	if k.Mode != kernel.AppraiseEnforce {
		p.warn("", "IMA appraisal is in mode %s: it does not refuse files without a list", k.Mode)
		p.advise("when the log shows no unwanted refusals, boot with ima_appraise=enforce")
	}
	if p.conf.Sign == "pkcs7" && k.DigestCache == kernel.Yes && k.Modsig == kernel.No {
		p.fail("grep CONFIG_IMA_APPRAISE_MODSIG /boot/config-$(uname -r)", "IMA of this kernel does not verify appended signatures, which lists have")
		p.advise("boot a kernel with CONFIG_IMA_APPRAISE_MODSIG")
	}
	p.hash()
}

// quoted shows what is invisible in a path, as the line break that echo adds.
func quoted(path string) string {
	if q := strconv.Quote(path); q != `"`+path+`"` {
		return q
	}
	return path
}

// hidden reports whether something is there that may not be looked into.
func (p *patient) hidden(path string) bool {
	_, err := os.ReadDir(p.at(path))
	return err != nil && !isMissing(err) && !p.Root
}

// hash says when IMA looks for digests of another kind than lists have.
func (p *patient) hash() {
	line, err := p.read("/proc/cmdline")
	if err != nil {
		return
	}
	for _, word := range strings.Fields(line) {
		value, found := strings.CutPrefix(word, "ima_hash=")
		if found && value != "sha256" && value != "sha384" && value != "sha512" {
			p.fail("", "booted with %s: the kernel will find no digest, because lists have SHA-2 digests", word)
			p.advise("boot with ima_hash=sha256")
		}
	}
}

// lookKeyring looks whether IMA knows the certificate of this machine.
func lookKeyring(_ context.Context, p *patient) {
	if p.conf.Sign != "pkcs7" {
		p.skip("this machine signs no lists: sign = %q", p.conf.Sign)
		return
	}
	k := p.features()
	if k.IMA == kernel.No {
		p.skip("the kernel has no IMA")
		return
	}
	_, _, skid, err := p.validity()
	if err != nil {
		p.unseen(err)
		return
	}
	// A kernel without the cache does not need them yet.
	missing := p.fail
	if k.DigestCache != kernel.Yes {
		missing = p.warn
	}
	rings, err := kernel.NewKeyrings().FindAll(kernel.RingIMA, kernel.RingIMAOpen)
	switch {
	case errors.Is(err, kernel.ErrNoKeys):
		p.skip("%v", err)
		return
	case err != nil:
		p.unseen(err)
		return
	case len(rings) == 0 && !p.Root:
		p.skip("only root sees the keyring %s", kernel.RingIMA)
		return
	case len(rings) == 0:
		missing("", "the kernel has no keyring %s: it cannot verify lists", kernel.RingIMA)
		p.advise("boot a kernel with CONFIG_IMA_APPRAISE and CONFIG_INTEGRITY_ASYMMETRIC_KEYS")
		return
	}
	for _, ring := range rings {
		keys, err := ring.Keys()
		if err != nil {
			p.skip("%v", err)
			return
		}
		for _, key := range keys {
			if _, id, ok := key.Certificate(); ok && id == skid {
				p.ok("the certificate with key ID %s is in %s", skid, ring.Name())
				return
			}
		}
	}
	fix := "digestctl keys enrol --ima"
	if rings[0].Name() == kernel.RingIMA {
		fix = "digestctl keys enrol --help"
	}
	missing(fix, "the certificate with key ID %s is not in %s: the kernel refuses lists signed with it", skid, rings[0].Name())
	p.advise("the kernel accepts it only if a trusted key signed it; for other ways see: digestctl keys enrol --help")
}

// lookPolicy looks for rules that make the kernel use the lists.
func lookPolicy(_ context.Context, p *patient) {
	k := p.features()
	if k.IMA == kernel.No {
		p.skip("the kernel has no IMA")
		return
	}
	const where = imaDir + "/policy"
	source := where
	text, err := p.read(where)
	if err != nil {
		// Kernels without CONFIG_IMA_READ_POLICY show it to nobody.
		if text, err = p.read(imaPolicy); err != nil {
			p.skip("the policy in force cannot be read, and there is no %s", imaPolicy)
			return
		}
		source = imaPolicy
	}
	rules, lists, files := countRules(text)
	load := "mkdir -p " + filepath.Dir(imaPolicy) + " && digestctl ima-policy | tee " + imaPolicy + " >" + where
	switch {
	case k.DigestCache != kernel.Yes:
		p.skip("%s has %s; no rule of this kernel can use lists", source, plural(rules, "rule"))
	case lists == 0:
		p.fail(load, "no rule of %s appraises the lists (func=DIGEST_LIST_CHECK): the kernel enforces nothing", source)
		p.advise("review the rules first: digestctl ima-policy")
	case files == 0:
		p.fail(load, "no rule of %s uses the lists (digest_cache=): the kernel enforces nothing", source)
		p.advise("review the rules first: digestctl ima-policy")
	case source != where:
		p.warn("cat "+imaPolicy+" >"+where, "%s uses the lists; doctor cannot read whether the kernel loaded it", source)
	default:
		p.ok("%s, %d of them use the lists", plural(rules, "rule"), files)
	}
}

// countRules counts the rules of a policy, those that appraise lists, and those
// that appraise by them.
func countRules(text string) (rules, lists, files int) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		rules++
		if words[0] != "appraise" {
			continue
		}
		for _, w := range words {
			switch {
			case w == "func=DIGEST_LIST_CHECK":
				lists++
			case strings.HasPrefix(w, "digest_cache="):
				files++
			}
		}
	}
	return rules, lists, files
}
