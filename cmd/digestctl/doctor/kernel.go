// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where the kernel shows its integrity subsystem.
const (
	securityfs  = "/sys/kernel/security"
	imaDir      = securityfs + "/ima"
	defaultPath = securityfs + "/integrity/digest_cache/default_path"
	imaPolicy   = "/etc/ima/ima-policy"
	procKeys    = "/proc/keys"
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

// there reports whether the kernel shows something; what may not be looked at
// is there.
func (p *patient) there(path string) bool {
	_, err := os.Stat(p.at(path))
	return err == nil || !isMissing(err) && !errors.Is(err, unix.ENOTDIR)
}

func lookKernel(_ context.Context, p *patient) {
	release, _ := p.read("/proc/sys/kernel/osrelease")
	release = strings.TrimSpace(release)
	entries, err := os.ReadDir(p.at(securityfs))
	switch {
	case err != nil && !isMissing(err) && !p.Root:
		p.unseen(err)
		return
	case len(entries) == 0:
		p.fail("mount -t securityfs securityfs "+securityfs, "Linux %s: %s is not mounted, so nothing shows whether it has IMA", release, securityfs)
		return
	case !p.there(imaDir):
		p.fail("grep CONFIG_IMA /boot/config-$(uname -r)", "Linux %s has no IMA: nothing is enforced", release)
		p.advise("lists are kept all the same; boot a kernel with CONFIG_IMA and CONFIG_IMA_APPRAISE to use them")
		return
	case !p.there(defaultPath):
		p.warn("", "Linux %s has IMA, but not the Integrity Digest Cache: it does not look into lists, nothing is enforced by them", release)
		p.advise("boot a kernel with CONFIG_INTEGRITY_DIGEST_CACHE")
	default:
		p.ok("Linux %s has IMA and the Integrity Digest Cache", release)
		p.listsOfKernel()
	}
	p.bootOptions()
}

// listsOfKernel compares where the kernel looks with where lists are.
func (p *patient) listsOfKernel() {
	where, err := p.read(defaultPath)
	if err != nil {
		p.unseen(err)
		return
	}
	if where = strings.TrimRight(where, "\x00\n"); where != p.conf.Lists {
		p.fail(fmt.Sprintf("printf %%s %s >%s", shell(p.conf.Lists), defaultPath), "the kernel looks for lists in %s, they are in %s", where, p.conf.Lists)
	}
}

// bootOptions says what the kernel's command line takes from appraisal.
func (p *patient) bootOptions() {
	line, err := p.read("/proc/cmdline")
	if err != nil {
		return
	}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "ima_appraise" && value != "enforce":
			p.warn("", "booted with %s: what nothing vouches for is run all the same", word)
			p.advise("once nothing is refused that should not be, boot with ima_appraise=enforce")
		case name == "ima_hash" && value != "sha256" && value != "sha384" && value != "sha512":
			p.fail("", "booted with %s: lists have SHA-2 digests, of which none will be found", word)
			p.advise("boot with ima_hash=sha256")
		}
	}
}

// lookKeyring looks whether the kernel knows the certificate of this machine.
func lookKeyring(_ context.Context, p *patient) {
	if p.conf.Sign != "pkcs7" {
		p.skip("this machine signs no lists: sign = %q", p.conf.Sign)
		return
	}
	if !p.there(imaDir) {
		p.skip("the kernel shows no IMA")
		return
	}
	_, _, skid, err := p.validity()
	if err != nil {
		p.unseen(err)
		return
	}
	keys, err := p.read(procKeys)
	if err != nil {
		p.unseen(err)
		return
	}
	enrol := "keyctl padd asymmetric '' %:.ima <" + shell(filepath.Join(p.conf.State, "signing.der"))
	ring, ours, found := parseKeys(keys, skid)
	switch {
	case !found && !p.Root:
		p.skip("only root sees the keyring .ima")
	case !found:
		p.fail("", "the kernel has no keyring .ima: it can verify no list")
		p.advise("boot a kernel with CONFIG_IMA_APPRAISE and CONFIG_INTEGRITY_ASYMMETRIC_KEYS")
	case len(ours) == 0:
		p.fail(enrol, "the kernel does not know the certificate with key id %s: it refuses every list", skid)
		p.advise("if it refuses the certificate, this must first be signed by a key that the kernel trusts; it is lost when the machine restarts, unless it is also /etc/keys/x509_ima.der")
	default:
		p.member(ring, ours, skid, enrol)
	}
}

// member looks whether one of the keys is in the keyring.
func (p *patient) member(ring int32, ours []int32, skid, enrol string) {
	var buf [4 * 1024]byte
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, int(ring), buf[:], 0)
	if err != nil {
		p.skip("the certificate is known; keyring .ima is not to be read: %v", err)
		return
	}
	for i := 0; i+4 <= min(n, len(buf)); i += 4 {
		member := int32(binary.NativeEndian.Uint32(buf[i:]))
		for _, key := range ours {
			if key == member {
				p.ok("the certificate with key id %s is in .ima", skid)
				return
			}
		}
	}
	p.fail(enrol, "the kernel knows the certificate with key id %s, but not in .ima: it refuses every list", skid)
}

// parseKeys takes from /proc/keys the keyring .ima and the keys that have a key
// identifier (security/keys/proc.c): serial, flags, usage, timeout, permissions,
// uid, gid, type, description.
func parseKeys(text, skid string) (ring int32, ours []int32, found bool) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 9 {
			continue
		}
		serial, err := strconv.ParseUint(f[0], 16, 31)
		if err != nil {
			continue
		}
		switch kind, rest := f[7], strings.Join(f[8:], " "); {
		case kind == "keyring" && strings.HasPrefix(rest, ".ima:"):
			ring, found = int32(serial), true
		case strings.HasPrefix(kind, "asymmetri") && strings.Contains(rest, ": "+skid+": "):
			ours = append(ours, int32(serial))
		}
	}
	return ring, ours, found
}

// lookPolicy looks for rules that make the kernel use the lists.
func lookPolicy(_ context.Context, p *patient) {
	if !p.there(imaDir) {
		p.skip("the kernel shows no IMA")
		return
	}
	const where = imaDir + "/policy"
	text, source, err := "", where, error(nil)
	if text, err = p.read(where); err != nil {
		// Kernels without CONFIG_IMA_READ_POLICY show it to nobody.
		if text, err = p.read(imaPolicy); err != nil {
			p.skip("the policy in force is not to be read, and there is no %s", imaPolicy)
			return
		}
		source = imaPolicy
	}
	rules, lists, files := countRules(text)
	load := "mkdir -p /etc/ima && digestctl ima-policy | tee " + imaPolicy + " >" + where
	switch {
	case !p.there(defaultPath):
		p.skip("%s has %d rules; this kernel has none that would use lists", source, rules)
	case lists == 0:
		p.fail(load, "no rule of %s appraises the lists (func=DIGEST_LIST_CHECK): nothing is enforced", source)
		p.advise("read the rules before: digestctl ima-policy")
	case files == 0:
		p.fail(load, "no rule of %s uses the lists (digest_cache=): nothing is enforced", source)
		p.advise("read the rules before: digestctl ima-policy")
	case source != where:
		p.warn("cat "+imaPolicy+" >"+where, "%s uses the lists; whether the kernel took it is not to be read", source)
	default:
		p.ok("%d rules, %d of them use the lists", rules, files)
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
