// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/pkgtest"
	"github.com/digestd/digestd/kernel"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// blacklistFile is what the daemon under test takes for more of the kernel's
// .blacklist, with DIGESTD_BLACKLIST: entries need a signature by a certificate
// that is built into the kernel. That a real one is read is tested in
// integration/vm.
func (m *machine) blacklistFile() string { return m.In("blacklisted") }

func (m *machine) blacklist(entries ...string) error {
	text := strings.Join(entries, "\n") + "\n"
	if err := os.WriteFile(m.blacklistFile()+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(m.blacklistFile()+".new", m.blacklistFile())
}

// bin is the entry that names what a file holds; of a list, without its signature.
func bin(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if body, _, _, err := digestlist.SplitSignature(data); err == nil {
		data = body
	}
	sum := sha256.Sum256(data)
	return "bin:" + hex.EncodeToString(sum[:]), nil
}

// scriptBlacklist: "blacklist file PATH", "blacklist list NAME", "blacklist signer"
// has the kernel's .blacklist name that and no more; "blacklist nothing". It sets
// ENTRY to the entry.
func scriptBlacklist(ts *testscript.TestScript, neg bool, args []string) {
	m := machineOf(ts)
	var entry string
	var err error
	switch args[0] {
	case "file":
		entry, err = bin(m.In("root", args[1]))
	case "list":
		entry, err = bin(m.list(args[1]))
	case "signer":
		sum := sha256.Sum256(m.Certificate().RawTBSCertificate)
		entry = "tbs:" + hex.EncodeToString(sum[:])
	case "nothing":
	default:
		ts.Fatalf("unknown kind %q", args[0])
	}
	ts.Check(err)
	ts.Setenv("ENTRY", entry)
	ts.Check(m.blacklist(entry))
}

// TestKilledWhileHeedingBlacklist: once the kernel named a file and a list and that
// began to count, it is so after the next start, even by a kernel that forgot.
func TestKilledWhileHeedingBlacklist(t *testing.T) {
	pkgtest.Crashes[changing]{
		Passes:  pkgtest.Passes{"keys": pkgtest.OwnEffects("keys")},
		Prepare: newChanging,
		Env:     func(m changing) []string { return []string{failpoint.BlacklistVariable + "=" + m.blacklistFile()} },
		Do: func(m changing) {
			file, err := bin(m.In("root", "opt", "shared")) // of up and of gone
			m.OK(err)
			list, err := bin(m.list("tlv-gone-0:1-1.noarch"))
			m.OK(err)
			m.OK(m.blacklist(file, list))
			m.Digestctl("sync").Run()
		},
		After: func(m changing, died pkgtest.Death) {
			if died.At("keys", failpoint.BeforeIntent) {
				m.converged(m.before) // nothing has happened
				return
			}
			for range 2 {
				m.WantLists("tlv-same-0:1-1.noarch", "tlv-up-0:1-1.noarch")
				m.Must("why", m.In("root", "opt", "up"))
				if out, err := m.Digestctl("why", m.In("root", "opt", "shared")).CombinedOutput(); err == nil {
					m.Errorf("what the kernel named is vouched for:\n%s", out)
				}
				m.Must("sync")
			}
			m.Wholesome()
			m.notFallen()
			if out := m.Must("show", "gone"); !strings.Contains(out, ".blacklist") {
				m.Errorf("the reason is lost:\n%s", out)
			}
		},
	}.Try(t)
}

// rsaIdentity gives the machine a key that every kernel with X.509 takes.
func (m *machine) rsaIdentity() { m.Helper(); m.rsaFiles("") }

// rsaFiles makes an identity whose files have suffix. There are kernels that take an
// RSA key and none on a curve.
func (m *machine) rsaFiles(suffix string) {
	m.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	m.OK(err)
	m.identityFiles(key, suffix)
}

// identityFiles makes an identity of that key whose files have suffix.
func (m *machine) identityFiles(key crypto.Signer, suffix string) {
	m.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test of " + m.Name()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20),
	}
	rand.Read(template.SubjectKeyId)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	m.OK(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	m.OK(err)
	m.OK(os.MkdirAll(m.State(), 0o700))
	for name, data := range map[string][]byte{
		"signing.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"signing.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"signing.der": der,
	} {
		m.OK(os.WriteFile(filepath.Join(m.State(), name+suffix), data, 0o600))
	}
}

// inKernel lists the key identifiers in the kernel's _ima.
func (m *machine) inKernel() (skids []string) {
	m.Helper()
	ring, err := kernel.NewKeyrings().Find(kernel.RingIMAOpen)
	m.OK(err)
	keys, err := ring.Keys()
	m.OK(err)
	for _, k := range keys {
		_, skid, _ := k.Certificate()
		skids = append(skids, skid)
	}
	return skids
}

func (m *machine) skid() string {
	m.Helper()
	return hex.EncodeToString(m.Certificate().SubjectKeyId)
}

// TestEnrolment: the certificate that signs comes into the keyring of the kernel
// that runs, and to where the next boot finds it; revoked, it leaves both.
func TestEnrolment(t *testing.T) {
	keyringtest.IMA(t)
	m := newMachine(t)
	m.importKey("vendor")
	m.rsaIdentity()
	m.Start()
	m.RPM("-U", m.build("hello-1-1.noarch"))
	old := m.skid()
	if out := m.Must("keys", "enrol", "--ima"); !strings.Contains(out, old+" is in the kernel's _ima keyring") || !strings.Contains(out, "next boot") {
		t.Errorf("enrol says:\n%s", out)
	}
	if skids := m.inKernel(); !slices.Equal(skids, []string{old}) {
		t.Fatalf("the kernel has %v, not %s", skids, old)
	}
	if out := m.Must("keys", "show", old); !strings.Contains(out, "in kernel   _ima") || !strings.Contains(out, "rsa2048") {
		t.Errorf("keys show says:\n%s", out)
	}
	if k := m.Status().Kernel; k.Keyring != "_ima" || !k.Enrolled || k.Release == "" {
		t.Errorf("status has %+v", k)
	}
	mine := []byte("somebody's certificate")
	single, own := m.In("root", "etc/keys/x509_ima.der"), m.In("root", "etc/keys/ima/digestd-"+old+".der")
	m.OK(os.MkdirAll(filepath.Dir(own), 0o755))
	m.OK(os.WriteFile(single, mine, 0o644))
	if out := m.Must("keys", "enrol", "--file"); !strings.Contains(out, "contains another certificate") || !strings.Contains(out, "initial file system") {
		t.Errorf("enrol says:\n%s", out)
	}
	if data, err := os.ReadFile(single); err != nil || string(data) != string(mine) {
		t.Errorf("%s was overwritten (%v)", single, err)
	}
	os.Remove(single)
	m.Must("keys", "enrol", "--file")
	for _, file := range []string{single, own} {
		if data, err := os.ReadFile(file); err != nil || string(data) != string(m.Certificate().Raw) {
			t.Errorf("%s is not the certificate (%v)", file, err)
		}
	}
	m.rsaFiles(".prepared")
	m.Must("keys", "revoke", old, "--reason", "test")
	next := m.skid()
	if next == old {
		t.Fatal("the revoked certificate goes on signing")
	}
	m.WantLists("tlv-hello-0:1-1.noarch")
	m.Wholesome()
	m.revokedLeft(old)
}

// revokedLeft checks that a revoked certificate is nowhere, and its successor
// where it was, if the kernel takes it.
func (m *machine) revokedLeft(old string) {
	m.Helper()
	next, skids := m.skid(), m.inKernel()
	if slices.Contains(skids, old) {
		m.Errorf("the kernel still has %s", old)
	}
	told := slices.ContainsFunc(m.Status().Problems, func(p api.Problem) bool {
		return p.ID == "not-enrolled" && strings.Contains(p.Text, "lacks what it takes")
	})
	if !slices.Contains(skids, next) && !told {
		m.Errorf("the kernel has %v, not %s, and nobody says so", skids, next)
	}
	if _, err := os.Stat(m.In("root", "etc/keys/ima/digestd-"+old+".der")); err == nil {
		m.Error("the next boot still loads the revoked certificate")
	}
	if data, err := os.ReadFile(m.In("root", "etc/keys/x509_ima.der")); err == nil && string(data) != string(m.Certificate().Raw) {
		m.Error("the next boot loads another certificate")
	}
	if out := m.Must("keys", "show", old); strings.Contains(out, "_ima") {
		m.Errorf("keys show says:\n%s", out)
	}
}

// TestKilledWhileLeavingKernel: a revoked certificate is out of the kernel, and
// signs nothing, after the next start, wherever the daemon died.
func TestKilledWhileLeavingKernel(t *testing.T) {
	keyringtest.IMA(t)
	pkgtest.Crashes[leaving]{
		Passes: pkgtest.Passes{"unenrol": nil, "rotate": pkgtest.AllEffects("rotate")},
		Prepare: func(t *testing.T) leaving {
			m := newMachine(t)
			m.importKey("vendor")
			m.rsaIdentity()
			m.Start()
			m.RPM("-U", m.build("hello-1-1.noarch"))
			old := m.skid()
			m.Must("keys", "enrol", "--ima")
			m.Must("keys", "enrol", "--file")
			m.rsaFiles(".prepared")
			return leaving{m, old}
		},
		Do: func(m leaving) { m.Digestctl("keys", "revoke", m.old, "--reason", "test").Run() },
		After: func(m leaving, _ pkgtest.Death) {
			m.WantLists("tlv-hello-0:1-1.noarch")
			m.Wholesome()
			if next := m.skid(); next == m.old {
				m.Errorf("%s goes on signing", m.old)
			}
			if skids := m.inKernel(); slices.Contains(skids, m.old) {
				m.Errorf("the kernel still has %s", m.old)
			}
			if _, err := os.Stat(m.In("root", "etc/keys/ima/digestd-"+m.old+".der")); err == nil {
				m.Error("the next boot still loads it")
			}
		},
	}.Try(t)
}

// leaving has the certificate that is to leave the kernel.
type leaving struct {
	*machine
	old string
}

// TestBlobs: entries that nobody signed whom the kernel trusts are refused by it,
// which is said, and so is that it takes none at all.
func TestBlobs(t *testing.T) {
	ring, err := kernel.NewKeyrings().Find(kernel.RingBlacklist)
	if err != nil {
		t.Skip(err)
	}
	m := start(t)
	entry := "bin:" + strings.Repeat("ab", 32)
	for name, text := range map[string]string{"good": entry, "good.p7s": "not signed", "bad": "BIN:00", "bad.p7s": "", "huge": strings.Repeat("x", 1<<20), "huge.p7s": "x", "alone": entry} {
		if err := os.WriteFile(m.In("blacklist.d", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	said := func(id, text string) bool {
		return slices.ContainsFunc(m.Status().Problems, func(p api.Problem) bool { return p.ID == id && strings.Contains(p.Text, text) })
	}
	if !pkgtest.Await(func() bool { return said("blacklist", "cannot be used") }) {
		t.Errorf("bad files are not told of: %+v", m.Status().Problems)
	}
	unable := fmt.Sprint(m.Status().Problems)
	if !ring.Writable() && !said("blacklist-unable", "takes nothing after boot") {
		t.Errorf("that the kernel takes none is not said: %s", unable)
	}
	for _, name := range []string{"bad", "bad.p7s", "huge", "huge.p7s", "alone"} {
		os.Remove(m.In("blacklist.d", name))
	}
	if !pkgtest.Await(func() bool { return ring.Writable() || !said("blacklist", "") }) {
		t.Errorf("what was removed is still told of: %+v", m.Status().Problems)
	}
}

// TestSignerIsNotRevokedWithoutSuccessor: where the kernel accepts lists by the
// certificate that signs, and would accept none by another, to revoke it would lock the
// machine out. The kernel that runs is made to refuse every further certificate.
func TestSignerIsNotRevokedWithoutSuccessor(t *testing.T) {
	ring := keyringtest.IMA(t)
	m := newMachine(t)
	m.importKey("vendor")
	m.rsaIdentity()
	m.Start()
	m.RPM("-U", m.build("hello-1-1.noarch"))
	m.WantLists("tlv-hello-0:1-1.noarch")
	old := m.skid()
	m.Must("keys", "enrol", "--ima")
	m.rsaFiles(".prepared")
	var restricted error
	keyringtest.InRootsSession(func() {
		restricted = unix.KeyctlRestrictKeyring(ring, "asymmetric", "builtin_trusted")
	})
	if restricted != nil {
		t.Fatal(restricted)
	}
	out, err := m.Digestctl("keys", "revoke", old, "--reason", "test").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot revoke the key that signs lists") {
		t.Errorf("%v\n%s", err, out)
	}
	m.Wholesome()
	if skids := m.inKernel(); !slices.Equal(skids, []string{old}) || m.skid() != old {
		t.Errorf("the kernel has %v, %s signs, want %s", skids, m.skid(), old)
	}
	// Neither do files bring it about. They are reported before they have an effect.
	cert := m.Certificate()
	for file, data := range map[string]string{
		m.In("revoked.d", "signer"):            old + "\n",
		m.In("blacklist.d", "signer"):          fmt.Sprintf("tbs:%x", sha256.Sum256(cert.RawTBSCertificate)),
		m.In("blacklist.d", "signer") + ".p7s": "a signature",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.Must("sync")
	if skids := m.inKernel(); !slices.Equal(skids, []string{old}) || m.skid() != old {
		t.Errorf("after a comparison the kernel has %v, and %s signs", skids, m.skid())
	}
	m.Wholesome()
	told := func(text string) bool {
		return slices.ContainsFunc(m.Status().Problems, func(p api.Problem) bool { return strings.Contains(p.Text, text) })
	}
	if !told("cannot carry out the revocation in ") {
		t.Errorf("nobody says that a revocation waits: %+v", m.Status().Problems)
	}
	if _, err := kernel.NewKeyrings().Find(kernel.RingBlacklist); err == nil && !told("has not been added to the kernel yet") {
		t.Errorf("nobody says that an entry of .blacklist waits: %+v", m.Status().Problems)
	}
}
