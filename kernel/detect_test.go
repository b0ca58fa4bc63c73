// SPDX-License-Identifier: Apache-2.0

package kernel_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/kernel"
	"github.com/google/go-cmp/cmp"
)

// Excerpts of the configurations of kernels.
const (
	debianConfig = "# Linux/x86 6.12 Kernel Configuration\nCONFIG_IMA=y\nCONFIG_IMA_APPRAISE=y\n# CONFIG_IMA_APPRAISE_MODSIG is not set\n# CONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE is not set\n"
	cacheConfig  = "CONFIG_IMA=y\nCONFIG_IMA_APPRAISE=y\nCONFIG_IMA_APPRAISE_MODSIG=y\nCONFIG_INTEGRITY_DIGEST_CACHE=y\nCONFIG_SYSTEM_BLACKLIST_AUTH_UPDATE=y\n"
	bareConfig   = "CONFIG_KEYS=y\n# CONFIG_INTEGRITY is not set\n"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			w.Write([]byte(text))
			w.Close()
			text = b.String()
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDetect(t *testing.T) {
	const release, lsm, ima = "proc/sys/kernel/osrelease", "sys/kernel/security/lsm", "sys/kernel/security/ima/"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  kernel.Features
	}{
		{"Debian", map[string]string{
			release: "6.12.48+deb13-amd64\n", lsm: "lockdown,ima,evm", ima + "violations": "0\n", "boot/config-6.12.48+deb13-amd64": debianConfig,
			"proc/cmdline": "BOOT_IMAGE=/vmlinuz root=LABEL=root quiet\n",
		}, kernel.Features{
			Release: "6.12.48+deb13-amd64", SecurityFS: true, DigestCache: "no", IMA: "yes", Appraisal: "yes", Mode: "enforce",
			Rules: "unknown", Lists: "unknown", Modsig: "no", Authority: "no",
		}},
		{"digest cache", map[string]string{
			release: "6.12.0-idc\n", lsm: "ima", ima + "policy": "measure func=DIGEST_LIST_CHECK pcr=12\nappraise func=DIGEST_LIST_CHECK appraise_type=imasig|modsig\nappraise func=BPRM_CHECK digest_cache=data\n",
			kernel.DigestCachePath: "/etc/digest_lists\x00", "proc/config.gz": cacheConfig, "proc/cmdline": "ima_appraise=log ima_policy=tcb\n",
		}, kernel.Features{
			Release: "6.12.0-idc", SecurityFS: true, DigestCache: "yes", DefaultPath: "/etc/digest_lists", IMA: "yes", Appraisal: "yes", Mode: "log",
			Rules: "yes", Lists: "yes", Modsig: "yes", Authority: "yes",
		}},
		{"by the command line", map[string]string{
			release: "6.12.0-idc\n", lsm: "ima", "sys/kernel/security/integrity/ima/violations": "0", "lib/modules/6.12.0-idc/config": cacheConfig,
			kernel.DigestCachePath: "/lists", "proc/cmdline": `ima_appraise=fix ima_appraise=enforce ima_policy="appraise_tcb|digest_cache_appraise"` + "\n",
		}, kernel.Features{
			Release: "6.12.0-idc", SecurityFS: true, DigestCache: "yes", DefaultPath: "/lists", IMA: "yes", Appraisal: "yes", Mode: "enforce",
			Rules: "yes", Lists: "yes", Modsig: "yes", Authority: "yes",
		}},
		{"turned off", map[string]string{
			release: "6.12.0\n", lsm: "ima", ima + "violations": "0", "proc/cmdline": "ima_appraise=off ima_policy=appraise_tcb",
		}, kernel.Features{
			Release: "6.12.0", SecurityFS: true, DigestCache: "no", IMA: "yes", Appraisal: "unknown", Mode: "off", Rules: "no", Lists: "no", Modsig: "unknown", Authority: "unknown",
		}},
		{"only measures", map[string]string{
			release: "6.12.0\n", lsm: "ima", ima + "policy": "measure func=BPRM_CHECK\n",
		}, kernel.Features{
			Release: "6.12.0", SecurityFS: true, DigestCache: "no", IMA: "yes", Appraisal: "unknown", Mode: "enforce", Rules: "no", Lists: "no", Modsig: "unknown", Authority: "unknown",
		}},
		{"without IMA", map[string]string{release: "6.18.44\n", "proc/config.gz": bareConfig}, kernel.Features{
			Release: "6.18.44", DigestCache: "no", IMA: "no", Appraisal: "no", Mode: "off", Rules: "no", Lists: "no", Modsig: "no", Authority: "no",
		}},
		{"nothing to see", map[string]string{release: "../../etc\n"}, kernel.Features{
			Release: "../../etc", DigestCache: "unknown", IMA: "unknown", Appraisal: "unknown", Mode: "enforce", Rules: "unknown", Lists: "unknown", Modsig: "unknown", Authority: "unknown",
		}},
		{"nonsense", map[string]string{
			release: "6\n", lsm: "x", "proc/config.gz": strings.Repeat("CONFIG_IMA=y\n", 1<<20), "proc/cmdline": `ima_appraise=maybe ima_policy="` + "\x00\xff\n",
			kernel.DigestCachePath: "",
		}, kernel.Features{
			Release: "6", SecurityFS: true, DigestCache: "yes", IMA: "no", Appraisal: "no", Mode: "off", Rules: "no", Lists: "no", Modsig: "no", Authority: "unknown",
		}},
	} {
		root := tree(t, test.files)
		if diff := cmp.Diff(test.want, kernel.Detect(root)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if got := kernel.HasDigestCache(root); got != test.want.DigestCache {
			t.Errorf("%s: has the Integrity Digest Cache: %s, want %s", test.name, got, test.want.DigestCache)
		}
	}
}

// The result does not contradict the running kernel.
func TestDetectThisKernel(t *testing.T) {
	f := kernel.Detect("/")
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	if f.Release != strings.TrimSpace(string(release)) {
		t.Errorf("release %q, not %q", f.Release, release)
	}
	if _, err := os.Stat("/" + kernel.DigestCachePath); err == nil && (f.DigestCache != kernel.Yes || f.DefaultPath == "") {
		t.Errorf("the digest cache is not seen: %+v", f)
	}
	t.Logf("%+v", f)
}
