// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// DigestCachePath is the file in which kernels with the Integrity Digest Cache name the
// directory that they search for lists.
const DigestCachePath = "sys/kernel/security/integrity/digest_cache/default_path"

// Answer is yes, no or unknown.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// The modes of IMA appraisal, named as in ima_appraise=.
const (
	AppraiseOff     = "off"
	AppraiseFix     = "fix"
	AppraiseLog     = "log"
	AppraiseEnforce = "enforce"
)

// Features describes what a kernel can do with digest lists.
type Features struct {
	Release     string // of the kernel
	SecurityFS  bool   // mounted; otherwise nothing below is certain
	DigestCache Answer // it has the Integrity Digest Cache
	DefaultPath string // where it looks for lists, byte by byte
	IMA         Answer
	Appraisal   Answer // IMA can appraise
	Mode        string // mode of appraisal, by the command line; enforce by default
	Rules       Answer // the current policy appraises files
	Lists       Answer // the current policy appraises lists
	Modsig      Answer // IMA verifies appended signatures
	Authority   Answer // .blacklist accepts entries that a built-in certificate signed
}

// maxDetect bounds each file that is read, in bytes.
const maxDetect = 4 << 20

// Detect finds out what the kernel can do, from files below root: "/", or a copy of the files of
// another machine.
func Detect(root string) Features {
	tree := detectTree{root}
	f := Features{
		Release: tree.release(), SecurityFS: tree.filled("sys/kernel/security"),
		DigestCache: Unknown, IMA: Unknown, Appraisal: Unknown, Mode: AppraiseEnforce, Rules: Unknown, Lists: Unknown, Modsig: Unknown, Authority: Unknown,
	}
	config := tree.config(f.Release)
	set := func(option string) Answer { return answer(config, option) }
	f.DigestCache, f.IMA = set(optionDigestCache), set("CONFIG_IMA")
	f.Appraisal, f.Modsig = set("CONFIG_IMA_APPRAISE"), set("CONFIG_IMA_APPRAISE_MODSIG")
	f.Authority = set("CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE")
	if f.SecurityFS {
		f.DigestCache, f.IMA = No, No
	}
	if tree.there(DigestCachePath) {
		f.DigestCache = Yes
		// The kernel takes the path literally: with a newline at its end, as echo writes it, the
		// kernel finds no list.
		f.DefaultPath = strings.TrimRight(tree.text(DigestCachePath), "\x00")
	}
	if tree.there("sys/kernel/security/ima") || tree.there("sys/kernel/security/integrity/ima") {
		f.IMA = Yes
	}
	if f.IMA == No {
		f.Appraisal, f.Modsig = No, No
	}
	if f.Appraisal == No {
		f.Mode, f.Modsig = AppraiseOff, No
	}
	words := tree.commandLine()
	f.readCommandLine(words)
	f.readPolicy(tree, words)
	return f
}

const optionDigestCache = "CONFIG_INTEGRITY_DIGEST_CACHE"

// HasDigestCache finds out the DigestCache of Features alone. It reads the kernel's configuration,
// which is large, only if securityfs is not mounted.
func HasDigestCache(root string) Answer {
	tree := detectTree{root}
	switch {
	case tree.there(DigestCachePath):
		return Yes
	case tree.filled("sys/kernel/security"):
		return No
	}
	return answer(tree.config(tree.release()), optionDigestCache)
}

// answer reports whether a kernel's configuration, as config returns it, has an option built in.
func answer(config []byte, option string) Answer {
	switch {
	case config == nil:
		return Unknown
	case bytes.Contains(config, []byte("\n"+option+"=y\n")):
		return Yes
	}
	return No
}

// readCommandLine reads how appraisal was configured at boot. The last parameter counts.
func (f *Features) readCommandLine(words []string) {
	for _, word := range words {
		mode, found := strings.CutPrefix(word, "ima_appraise=")
		if found && f.Appraisal != No && slices.Contains([]string{AppraiseOff, AppraiseFix, AppraiseLog, AppraiseEnforce}, mode) {
			f.Mode = mode
		}
	}
}

// readPolicy finds out what the kernel appraises: from the policy if it is readable, otherwise
// from the command line, which does not show a policy that was loaded later.
func (f *Features) readPolicy(tree detectTree, words []string) {
	for _, dir := range []string{"ima", "integrity/ima"} {
		data, err := tree.read("sys/kernel/security/" + dir + "/policy")
		if err != nil {
			continue
		}
		text := string(data)
		f.Rules, f.Lists = No, No // an empty policy appraises nothing
		for line := range strings.Lines(text) {
			if rule := strings.Fields(line); len(rule) > 0 && rule[0] == "appraise" {
				f.Rules = Yes
				if slices.Contains(rule, "func=DIGEST_LIST_CHECK") {
					f.Lists = Yes
				}
			}
		}
		return
	}
	if f.Appraisal == No || f.Mode == AppraiseOff {
		f.Rules, f.Lists = No, No
		return
	}
	for _, word := range words {
		policies, found := strings.CutPrefix(strings.ReplaceAll(word, `"`, ""), "ima_policy=")
		if word == "ima_appraise_tcb" {
			policies, found = "appraise_tcb", true
		}
		for _, p := range strings.FieldsFunc(policies, func(c rune) bool { return c == '|' || c == ' ' }) {
			if !found {
				break
			}
			if p == "appraise_tcb" || p == "secure_boot" || p == "digest_cache_appraise" {
				f.Rules = Yes
			}
			if p == "digest_cache_appraise" {
				f.Lists = Yes
			}
		}
	}
}

// detectTree is the root of the files.
type detectTree struct{ root string }

func (t detectTree) there(path string) bool {
	_, err := os.Lstat(filepath.Join(t.root, path))
	return err == nil
}

func (t detectTree) filled(path string) bool {
	entries, _ := os.ReadDir(filepath.Join(t.root, path))
	return len(entries) > 0
}

func (t detectTree) release() string {
	return strings.TrimSpace(t.text("proc/sys/kernel/osrelease"))
}

// text returns the content of a file, "" if it cannot be read.
func (t detectTree) text(path string) string {
	data, _ := t.read(path)
	return string(data)
}

func (t detectTree) read(path string) ([]byte, error) {
	f, err := os.OpenFile(filepath.Join(t.root, path), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, maxDetect+1))
	if err == nil && len(data) > maxDetect {
		err = errors.New("too large")
	}
	return data, err
}

// commandLine returns the words of the kernel's command line. Quoted text is one word.
func (t detectTree) commandLine() []string {
	quoted := false
	return strings.FieldsFunc(strings.TrimSpace(t.text("proc/cmdline")), func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return !quoted && (c == ' ' || c == '\n' || c == '\t')
	})
}

// config returns the kernel's configuration, with a newline before and after each line; nil if
// it is not available.
func (t detectTree) config(release string) []byte {
	places := []string{"proc/config.gz"}
	if release != "" && fs.ValidPath(release) && !strings.Contains(release, "/") {
		places = append(places, "lib/modules/"+release+"/config", "boot/config-"+release)
	}
	for _, place := range places {
		if data, err := t.read(place); err == nil && bytes.Contains(data, []byte("CONFIG_")) {
			return slices.Concat([]byte("\n"), data, []byte("\n"))
		}
	}
	return nil
}
