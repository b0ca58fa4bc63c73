// SPDX-License-Identifier: Apache-2.0

package enrol_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/enrol"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
)

const hello = "tlv-hello-0:1-1.noarch"

// machine is one whose list of one package is signed by its key.
type machine struct{ *daemontest.Machine }

func start(t *testing.T) machine {
	t.Helper()
	m := machine{daemontest.New(t)}
	m.Install(t, daemontest.Package(t, "hello", "", map[string]string{"/opt/hello": "one"}))
	m.Sync(t)
	return m
}

// inKernel is start on a machine whose kernel has a keyring for IMA, with an identity of a
// kind that every kernel takes: some take no key on a curve.
func inKernel(t *testing.T) machine {
	t.Helper()
	needs.Root(t)
	keyringtest.IMA(t)
	m := start(t)
	m.Stop()
	m.putIdentity(t, "")
	m.Start(t)
	m.Sync(t)
	return m
}

// putIdentity makes an RSA identity whose files have a suffix.
func (m machine) putIdentity(t *testing.T, suffix string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := certify(t, key.Public(), key, func(c *x509.Certificate) { rand.Read(c.SubjectKeyId) })
	for name, data := range map[string][]byte{identity.KeyFile: pemOf("PRIVATE KEY", pkcs8), identity.CertFile: pemOf("CERTIFICATE", cert.Raw), identity.DERFile: cert.Raw} {
		m.put(t, name+suffix, data)
	}
}

// put writes a file of the state directory.
func (m machine) put(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Config.State, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// certify makes a certificate of a key, which change may alter before by signs it.
func certify(t *testing.T, public crypto.PublicKey, by crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20),
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// cert is the certificate that signs now.
func (m machine) cert() *x509.Certificate { return m.Builder.Load().Identity.Cert }

func ski(c *x509.Certificate) string { return hex.EncodeToString(c.SubjectKeyId) }

// wantSigned wants the list of the package to be signed with a certificate.
func (m machine) wantSigned(t *testing.T, when string, by *x509.Certificate) {
	t.Helper()
	data, err := m.Dir.Read(hello, nil)
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	body, sig, _, err := digestlist.SplitSignature(data)
	if err == nil {
		_, err = digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{by})
	}
	if err != nil || !bytes.Contains(sig, by.Raw) {
		t.Errorf("%s: the list is not signed with %s: %v", when, ski(by), err)
	}
}

// inRing are the key identifiers of certificates in the kernel's keyring.
func (m machine) inRing(t *testing.T) (skis []string) {
	t.Helper()
	ring, err := m.Keyrings.Find(kernel.RingIMAOpen)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ring.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if _, id, ok := k.Certificate(); ok {
			skis = append(skis, id)
			if ids, err := enrol.KeyIn(ring, id); err != nil || !slices.Contains(ids, k.ID) {
				t.Errorf("%s has the numbers %v: %v", id, ids, err)
			}
		}
	}
	slices.Sort(skis)
	return skis
}

// atBoot are the certificates that the next boot would find, by file.
func (m machine) atBoot(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"etc/keys/*.der", "etc/keys/ima/*.der"} {
		files, _ := filepath.Glob(m.Path(pattern))
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(m.Path("etc/keys"), file)
			if cert, err := x509.ParseCertificate(data); err == nil {
				found[name] = ski(cert)
			} else {
				found[name] = "nonsense"
			}
		}
	}
	return found
}

// A certificate of before that cannot be read does not keep digestd from starting; status
// names it.
func TestStartWithAnUnreadableOldCertificate(t *testing.T) {
	m := start(t)
	m.Stop()
	bad := filepath.Join(m.Config.State, view.OldDir, "bad.crt")
	if err := os.MkdirAll(filepath.Dir(bad), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Start(t)
	m.Sync(t)
	if p := m.Problem("old-certificates"); !strings.Contains(p.Text, bad) {
		t.Errorf("status says %q", p.Text)
	}
}

// A copy of a machine's disk has its key: status says so until another key signs.
func TestClonedMachine(t *testing.T) {
	m := start(t)
	id := filepath.Join(m.Config.Root, "etc/machine-id")
	if err := os.MkdirAll(filepath.Dir(id), 0o755); err != nil {
		t.Fatal(err)
	}
	restart := func(machine string) {
		t.Helper()
		m.Stop()
		if err := os.WriteFile(id, []byte(machine), 0o644); err != nil {
			t.Fatal(err)
		}
		m.Start(t)
	}
	const foreign = "signing-key-foreign"
	restart("0123456789abcdef0123456789abcdef\n")
	if p := m.Problem(foreign); p.ID != "" {
		t.Errorf("on its own machine: %+v", p)
	}
	restart("fedcba9876543210fedcba9876543210\n")
	if p := m.Problem(foreign); p.Severity != api.SeverityWarning || !strings.Contains(p.Advice, "digestctl keys rotate") {
		t.Errorf("on another: %+v", p)
	}
	if err := m.Enroller.RenewIdentity(t.Context(), api.Actor{}, "cloned"); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	if p := m.Problem(foreign); p.ID != "" {
		t.Errorf("with a key of its own: %+v", p)
	}
	restart("fedcba9876543210fedcba9876543210\n")
	if p := m.Problem(foreign); p.ID != "" {
		t.Errorf("with a key of its own, after a start: %+v", p)
	}
}

// The owner enrols the certificate that signs and the prepared one.
func TestEnrollable(t *testing.T) {
	m := start(t)
	want := []string{ski(m.cert())}
	for _, prepare := range []bool{false, true} {
		if prepare {
			path, err := m.Enroller.PrepareNext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			next, err := identity.ReadCertificate(path)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, ski(next))
		}
		certs, files, err := m.Enroller.Enrollable()
		if err != nil || len(certs) != len(want) || len(files) != len(want) {
			t.Fatalf("%d certificates in %v: %v", len(certs), files, err)
		}
		for i, c := range certs {
			der, err := os.ReadFile(files[i])
			if err != nil || ski(c) != want[i] || !bytes.Equal(der, c.Raw) {
				t.Errorf("certificate %d is %s, want %s, as in %s: %v", i, ski(c), want[i], files[i], err)
			}
		}
	}
	m.put(t, identity.CertFile+view.PreparedSuffix, []byte("nonsense"))
	if certs, _, err := m.Enroller.Enrollable(); err == nil {
		t.Errorf("a prepared certificate is nonsense, and %d can be enrolled", len(certs))
	}
}

// The kernel gets certificates into the keyring by which it verifies; status says so while
// it lacks the one that signs but has another of this machine.
func TestEnrolIMA(t *testing.T) {
	m := inKernel(t)
	if m.Problem("not-enrolled").Text != "" {
		t.Error("a kernel that has none of ours is a problem")
	}
	first := m.cert()
	m.putIdentity(t, view.PreparedSuffix)
	var e api.Enrolment
	if err := m.Enroller.EnrolIMA([]*x509.Certificate{first}, &e); err != nil {
		t.Fatal(err)
	}
	if got := m.inRing(t); !slices.Equal(got, []string{ski(first)}) || len(e.Done) != 1 || !strings.Contains(e.Done[0], ski(first)) || len(e.Left) != 1 {
		t.Errorf("the kernel has %v, and it is said: %+v", got, e)
	}
	// The kernel follows when the key changes.
	if _, err := m.SignerRotate(t.Context(), daemontest.Root, false, "test"); err != nil {
		t.Fatal(err)
	}
	second := m.cert()
	want := []string{ski(first), ski(second)}
	if slices.Sort(want); !slices.Equal(m.inRing(t), want) {
		t.Errorf("the kernel has %v, want %v", m.inRing(t), want)
	}
	m.wantSigned(t, "rotated", second)
	ring, err := m.Keyrings.Find(kernel.RingIMAOpen)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := enrol.KeyIn(ring, ski(second))
	if err != nil || len(ids) != 1 {
		t.Fatalf("%v: %v", ids, err)
	}
	if err := ring.Unlink(ids[0]); err != nil {
		t.Fatal(err)
	}
	m.Enroller.TellOfEnrolment(t.Context())
	if got := m.Problem("not-enrolled"); !strings.Contains(got.Text, ski(second)) {
		t.Errorf("status says %q", got.Text)
	}
	if err := m.Enroller.EnrolIMA([]*x509.Certificate{second}, &e); err != nil {
		t.Fatal(err)
	}
	m.Enroller.TellOfEnrolment(t.Context())
	if got := m.Problem("not-enrolled"); got.Text != "" {
		t.Errorf("once it is enrolled status says %q", got.Text)
	}
}

// A kernel that has no keyring for it, or takes no such certificate, is said to.
func TestKernelRefuses(t *testing.T) {
	m := start(t)
	var e api.Enrolment
	if rings, err := m.Keyrings.FindAll(kernel.RingIMA, kernel.RingIMAOpen); err == nil && len(rings) == 0 {
		err := m.Enroller.EnrolIMA([]*x509.Certificate{m.cert()}, &e)
		if daemontest.Code(err) != api.Failed || !strings.Contains(err.Error(), "no .ima keyring") || len(e.Done) > 0 {
			t.Errorf("%v: %+v", err, e)
		}
	}
	m = inKernel(t)
	broken := *m.cert()
	broken.Raw = broken.Raw[:len(broken.Raw)-1]
	var why *api.Error
	if err := m.Enroller.EnrolIMA([]*x509.Certificate{&broken}, &e); !errors.As(err, &why) || why.Advice == "" || len(e.Done) > 0 || len(m.inRing(t)) > 0 {
		t.Errorf("of a certificate that is cut short: %v, %+v", err, e)
	}
}

// The certificate is put where the next boot looks for it, and files of others stay.
func TestEnrolFile(t *testing.T) {
	m := start(t)
	first := m.cert()
	var e api.Enrolment
	if err := m.Enroller.EnrolFile([]*x509.Certificate{first}, &e); err != nil {
		t.Fatal(err)
	}
	named := func(c *x509.Certificate) string { return "ima/digestd-" + ski(c) + ".der" }
	want := map[string]string{named(first): ski(first), "x509_ima.der": ski(first)}
	if got := m.atBoot(t); !maps.Equal(got, want) || len(e.Done) != 2 {
		t.Errorf("the next boot finds %v, want %v: %+v", got, want, e)
	}
	if !strings.Contains(strings.Join(e.Left, "\n"), "rebuild it with /etc/keys included") {
		t.Errorf("left to do is %q", e.Left)
	}
	// Another key of ours takes the place of the first, and what loads certificates by
	// name knows both.
	if _, err := m.SignerRotate(t.Context(), daemontest.Root, false, "test"); err != nil {
		t.Fatal(err)
	}
	second := m.cert()
	want[named(second)], want["x509_ima.der"] = ski(second), ski(second)
	if got := m.atBoot(t); !maps.Equal(got, want) {
		t.Errorf("after another key the next boot finds %v, want %v", got, want)
	}
	// That of somebody else stays.
	if err := os.WriteFile(m.Path("etc/keys/x509_ima.der"), []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.File(t, "/usr/bin/dracut", "")
	e = api.Enrolment{}
	if err := m.Enroller.EnrolFile([]*x509.Certificate{second}, &e); err != nil {
		t.Fatal(err)
	}
	want["x509_ima.der"] = "nonsense"
	if got := m.atBoot(t); !maps.Equal(got, want) {
		t.Errorf("beside another's the next boot finds %v, want %v", got, want)
	}
	if left := strings.Join(e.Left, "\n"); !strings.Contains(left, "x509_ima.der contains another certificate") || !strings.Contains(left, "dracut --force") {
		t.Errorf("left to do is %q", e.Left)
	}
	m.Enroller.ReplaceBootFile()
	if got := m.atBoot(t); !maps.Equal(got, want) {
		t.Errorf("replaced, the next boot finds %v", got)
	}
}

// A key that is revoked leaves the kernel and the next boot, and the one that follows it
// takes its place in both.
func TestRevokedSignerLeaves(t *testing.T) {
	m := inKernel(t)
	first := m.cert()
	var e api.Enrolment
	err := m.Enroller.EnrolIMA([]*x509.Certificate{first}, &e)
	if err == nil {
		err = m.Enroller.EnrolFile([]*x509.Certificate{first}, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.putIdentity(t, view.PreparedSuffix)
	if _, err := m.KeyRevoke(t.Context(), daemontest.Root, ski(first), "stolen"); err != nil {
		t.Fatal(err)
	}
	second := m.cert()
	if ski(second) == ski(first) {
		t.Fatal("the revoked key signs")
	}
	if got := m.inRing(t); !slices.Equal(got, []string{ski(second)}) {
		t.Errorf("the kernel has %v, want the key %s that follows", got, ski(second))
	}
	if got, want := m.atBoot(t), map[string]string{"ima/digestd-" + ski(second) + ".der": ski(second), "x509_ima.der": ski(second)}; !maps.Equal(got, want) {
		t.Errorf("the next boot finds %v, want %v", got, want)
	}
	if got := m.Problem("revoked-at-boot"); got.Advice == "" {
		t.Error("nobody says that the initial file system may have it still")
	}
	m.Sync(t)
	m.wantSigned(t, "afterwards", second)
	// Somebody who puts it back does so in vain.
	if err := m.Enroller.EnrolIMA([]*x509.Certificate{first}, &e); err != nil {
		t.Fatal(err)
	}
	if left := m.Enroller.RemoveRevoked(t.Context()); len(left.Rings) != 1 || left.Boot {
		t.Errorf("removed: %+v", left)
	}
	if got := m.inRing(t); !slices.Equal(got, []string{ski(second)}) {
		t.Errorf("put back, the kernel has %v", got)
	}
}

// The key that signs is not revoked while the kernel would not accept lists by the one
// that follows.
func TestRevocationWaitsForTheKernel(t *testing.T) {
	m := inKernel(t)
	var e api.Enrolment
	if err := m.Enroller.EnrolIMA([]*x509.Certificate{m.cert()}, &e); err != nil {
		t.Fatal(err)
	}
	// One that no kernel takes, for it knows no such curve.
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := certify(t, key.Public(), key, func(c *x509.Certificate) { rand.Read(c.SubjectKeyId) })
	m.put(t, identity.KeyFile+view.PreparedSuffix, pemOf("PRIVATE KEY", pkcs8))
	m.put(t, identity.CertFile+view.PreparedSuffix, pemOf("CERTIFICATE", cert.Raw))
	before := m.cert()
	var refused *api.Error
	_, err = m.KeyRevoke(t.Context(), daemontest.Root, ski(before), "stolen")
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "the kernel would not accept lists signed with the next certificate") || !strings.HasSuffix(refused.Advice, "; then revoke") {
		t.Errorf("%v; advice: %+v", err, refused)
	}
	if m.cert() != before || m.Snapshot().Keys[ski(before)].Revoked != nil || !slices.Equal(m.inRing(t), []string{ski(before)}) {
		t.Error("something has changed")
	}
}
