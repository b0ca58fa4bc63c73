// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// sick is a machine under test: its own directories, and what of /proc, /sys and
// /run a test puts below top.
type sick struct {
	*testing.T
	Machine
	top string
}

func machine(t *testing.T) *sick {
	t.Helper()
	top := t.TempDir()
	s := &sick{T: t, top: top, Machine: Machine{
		Config: filepath.Join(top, "digestd.conf"), Top: top, Root: true, Now: time.Now, Version: "1", Patience: time.Minute,
		Status: func(context.Context) (api.Status, error) { return api.Status{}, errors.New("nobody is there") },
	}}
	s.write("digestd.conf", fmt.Sprintf("lists = %q\nstate = %q\nsocket = %q\n",
		s.path("lists"), s.path("state"), s.path("hook.sock")))
	return s
}

func (s *sick) path(name string) string { return filepath.Join(s.top, name) }

func (s *sick) write(name, text string) {
	s.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.Fatal(err)
	}
	if err := os.Chmod(s.path(name), 0o644); err != nil {
		s.Fatal(err)
	}
}

func (s *sick) mkdir(name string, mode os.FileMode) {
	s.Helper()
	if err := os.Mkdir(s.path(name), 0o755); err != nil && !os.IsExist(err) {
		s.Fatal(err)
	}
	if err := os.Chmod(s.path(name), mode); err != nil {
		s.Fatal(err)
	}
}

// wants holds what one check found, each as "verdict: found → fix", to
// beginnings of these.
func (s *sick) wants(check string, want ...string) {
	s.Helper()
	var got []string
	for _, f := range s.Examine(context.Background(), check) {
		line := string(f.Verdict) + ": " + f.Found
		if f.Fix != "" {
			line += " → " + f.Fix
		}
		got = append(got, strings.ReplaceAll(line, s.top, "TOP"))
	}
	for i := range got {
		if i < len(want) && strings.HasSuffix(want[i], "…") && strings.HasPrefix(got[i], strings.TrimSuffix(want[i], "…")) {
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s:\n%s", check, diff)
	}
}

func TestConfig(t *testing.T) {
	s := machine(t)
	s.wants("config", "ok: TOP/digestd.conf")
	s.write("digestd.conf.d/a.conf", `mode = "enforced"`)
	s.wants("config", `fail: cannot use configuration TOP/digestd.conf: mode = "enforced": want one of enforce, withhold, audit (did you mean "enforce"?) → sudoedit TOP/digestd.conf`)
}

func TestKernel(t *testing.T) {
	s := machine(t)
	s.write("proc/sys/kernel/osrelease", "6.12\n")
	s.wants("kernel", "fail: Linux 6.12: cannot tell whether it has IMA, because /sys/kernel/security is not mounted → mount -t securityfs securityfs /sys/kernel/security")
	s.write("sys/kernel/security/lsm", "capability")
	s.wants("kernel", "fail: Linux 6.12 has no IMA: it enforces no lists → grep CONFIG_IMA /boot/config-$(uname -r)")
	s.wants("keyring", "skipped: the kernel has no IMA")
	s.wants("ima-policy", "skipped: the kernel has no IMA")

	s.write("sys/kernel/security/ima/policy", "dont_measure fsmagic=0x9fa0\n# a remark\n\n")
	s.write("proc/cmdline", "quiet ima_appraise=log ima_hash=sha1\n")
	s.wants("kernel", "warn: Linux 6.12 has IMA, but not the Integrity Digest Cache: it does not read lists, so it does not enforce them",
		"warn: IMA appraisal is in mode log: it does not refuse files without a list",
		"fail: booted with ima_hash=sha1: the kernel will find no digest, because lists have SHA-2 digests")
	s.wants("ima-policy", "skipped: /sys/kernel/security/ima/policy has 1 rule; no rule of this kernel can use lists")

	s.write("proc/cmdline", "quiet ima_appraise=enforce ima_hash=sha256\n")
	s.write("sys/kernel/security/integrity/digest_cache/default_path", s.path("lists")+"\x00")
	s.wants("kernel", "ok: Linux 6.12 has IMA and the Integrity Digest Cache")
	s.wants("ima-policy", "fail: no rule of /sys/kernel/security/ima/policy appraises the lists…")
	s.write("sys/kernel/security/ima/policy", "appraise func=DIGEST_LIST_CHECK appraise_type=imasig|modsig\n")
	s.wants("ima-policy", "fail: no rule of /sys/kernel/security/ima/policy uses the lists…")
	s.write("sys/kernel/security/ima/policy", "appraise func=DIGEST_LIST_CHECK appraise_type=imasig|modsig\nappraise func=BPRM_CHECK digest_cache=data\n")
	s.wants("ima-policy", "ok: 2 rules, 1 of them use the lists")
	s.write("boot/config-6.12", "CONFIG_IMA=y\nCONFIG_IMA_APPRAISE=y\n# CONFIG_IMA_APPRAISE_MODSIG is not set\n")
	s.write("sys/kernel/security/integrity/digest_cache/default_path", "/elsewhere\x00")
	s.wants("kernel", "ok: Linux 6.12 has IMA and the Integrity Digest Cache",
		"fail: the kernel looks for lists in /elsewhere, but they are in TOP/lists → printf %s TOP/lists >/sys/kernel/security/integrity/digest_cache/default_path",
		"fail: IMA of this kernel does not verify appended signatures, which lists have → grep CONFIG_IMA_APPRAISE_MODSIG /boot/config-$(uname -r)")
}

// The keyring is one of the kernel that runs.
func TestKeyring(t *testing.T) {
	needs.Root(t)
	s := machine(t)
	s.write("sys/kernel/security/ima/policy", "")
	s.write("sys/kernel/security/integrity/digest_cache/default_path", s.path("lists"))
	skid := "0011aabb"
	s.Status = func(context.Context) (api.Status, error) {
		return api.Status{Certificate: api.Certificate{SKI: skid, NotAfter: time.Now().AddDate(1, 0, 0)}}, nil
	}
	ring := keyringtest.IMA(t)
	s.wants("keyring", "fail: the certificate with key ID 0011aabb is not in …")

	der, id := certificate(t)
	var err error
	keyringtest.InRootsSession(func() { _, err = unix.AddKey("asymmetric", "", der, ring) })
	if err != nil {
		t.Skipf("the kernel takes no certificates: %v", err)
	}
	skid = id
	s.wants("keyring", "ok: the certificate with key ID "+id+" is in _ima")
}

// certificate makes one, and returns it with its key identifier.
func certificate(t *testing.T) (der []byte, id string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, SubjectKeyId: []byte{1, 2, 3, 4},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	return der, "01020304"
}

func TestLists(t *testing.T) {
	needs.Root(t)
	s := machine(t)
	s.wants("lists", "fail: there is no TOP/lists: digestd vouches for no file → systemctl restart digestd")
	s.mkdir("real", 0o755)
	if err := os.Symlink("real", s.path("lists")); err != nil {
		t.Fatal(err)
	}
	s.wants("lists", "fail: TOP/lists is a symbolic link, which the kernel does not follow → rm TOP/lists && systemctl restart digestd")
	os.Remove(s.path("lists"))
	s.mkdir("lists", 0o777)
	s.mkdir("lists.staging", 0o700)
	s.wants("lists", "fail: TOP/lists has mode 0777: other users can remove lists → chmod 0755 TOP/lists",
		"warn: there is no TOP/lists.quarantine → systemctl restart digestd")
	s.mkdir("lists", 0o700)
	s.write("lists.quarantine", "")
	s.wants("lists", "warn: TOP/lists has mode 0700: users cannot read the lists → chmod 0755 TOP/lists",
		"fail: TOP/lists.quarantine is not a directory on the same file system as TOP/lists: digestd cannot move lists between them → umount TOP/lists.quarantine; rmdir TOP/lists.quarantine; systemctl restart digestd")
	s.mkdir("lists", 0o755)
	os.Remove(s.path("lists.quarantine"))
	s.mkdir("lists.quarantine", 0o700)
	s.wants("lists", "ok: TOP/lists, 0 lists")
	if err := os.Chown(s.path("lists"), 65534, -1); err != nil {
		t.Fatal(err)
	}
	s.wants("lists", "fail: TOP/lists belongs to user 65534, who can remove lists → chown root: TOP/lists")
}

func TestState(t *testing.T) {
	s := machine(t)
	s.wants("state", "fail: there is no TOP/state: digestd never ran here, or its state was removed → systemctl restart digestd")
	s.mkdir("state", 0o755)
	s.write("state/index.db", "index")
	s.write("state/index.db.aside-20261124-1", "")
	s.wants("state", "fail: TOP/state has mode 0755: other users can read the signing key or change the index → chmod 0700 TOP/state",
		"fail: TOP/state/index.db has mode 0644 → chmod 0600 TOP/state/index.db",
		"warn: there is no TOP/state/signing.key → systemctl restart digestd",
		"warn: TOP/state contains 1 unusable indexes → ls -l TOP/state")
}

func TestClock(t *testing.T) {
	s := machine(t)
	s.wants("clock", "skipped: there is nothing to compare it with")
	s.mkdir("lists", 0o755)
	s.wants("clock", "ok: …")
	s.Now = func() time.Time { return time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) }
	s.wants("clock", "fail: the clock says 2001-01-01T00:00:00Z, but TOP/lists is of …")
}

func TestCertificate(t *testing.T) {
	s := machine(t)
	s.wants("certificate", "fail: there is none yet: open TOP/state/signing.der: no such file or directory → systemctl restart digestd")
	until := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.Status = func(context.Context) (api.Status, error) {
		return api.Status{Certificate: api.Certificate{SKI: "0011aabb", NotAfter: until}}, nil
	}
	for now, want := range map[time.Time]string{
		until.AddDate(0, -2, 0): "ok: key ID 0011aabb, valid until 2030-01-01",
		until.AddDate(0, 0, -2): "warn: it expires at 2030-01-01T00:00:00Z → digestctl keys rotate --reason expires",
		until.AddDate(0, 0, 2):  "fail: it expired at 2030-01-01T00:00:00Z → digestctl keys rotate --reason expires",
	} {
		s.Now = func() time.Time { return now }
		s.wants("certificate", want)
	}
}

// A socket that connects and says nothing, as that of a daemon that hangs does,
// costs no more than the patience there is.
func TestSocket(t *testing.T) {
	s := machine(t)
	s.wants("socket", "fail: there is no TOP/hook.sock: package managers do not reach digestd → systemctl start digestd")
	l, err := net.Listen("unix", s.path("hook.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s.Patience = 4 * time.Second
	if err := os.Chmod(s.path("hook.sock"), 0o666); err != nil {
		t.Fatal(err)
	}
	s.wants("socket", "warn: TOP/hook.sock has mode 0666: other users can connect and block it → chmod 0600 TOP/hook.sock",
		"fail: the process that listens at TOP/hook.sock does not answer → systemctl restart digestd")
	s.Patience = time.Minute
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	os.Chmod(s.path("hook.sock"), 0o600)
	s.wants("socket", "fail: no process listens at TOP/hook.sock → systemctl start digestd")
	os.Remove(s.path("hook.sock"))
	s.write("hook.sock", "")
	s.wants("socket", "fail: TOP/hook.sock is not a socket → mv TOP/hook.sock TOP/hook.sock.aside && systemctl restart digestd")
}

// A check that hangs is abandoned.
func TestHanging(t *testing.T) {
	s := machine(t)
	s.Patience = 200 * time.Millisecond
	release := make(chan struct{})
	defer close(release)
	s.Status = func(context.Context) (api.Status, error) { <-release; return api.Status{}, nil }
	s.wants("daemon", "fail: no answer within 200ms: a file system or program does not respond")
}

func TestShell(t *testing.T) {
	for word, want := range map[string]string{
		"/etc/digest_lists": "/etc/digest_lists", "": "''", "/a b": "'/a b'", "it's": `'it'\''s'`, "$(id)": "'$(id)'",
	} {
		if got := shell(word); got != want {
			t.Errorf("%q became %s", word, got)
		}
	}
}
