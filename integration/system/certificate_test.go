// SPDX-License-Identifier: Apache-2.0

package system_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
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
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/keyringtest"
)

// certify has an authority make a certificate for the key of the machine, and puts it
// in the place of its own.
func (m *machine) certify(change func(*x509.Certificate)) *x509.Certificate {
	m.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	m.OK(err)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "An authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte("authority")}
	mine := m.Certificate()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "certified"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: mine.SubjectKeyId}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, mine.PublicKey, key)
	m.OK(err)
	cert, err := x509.ParseCertificate(der)
	m.OK(err)
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	m.OK(os.WriteFile(filepath.Join(m.State(), "signing.crt"), data, 0o644))
	return cert
}

// signedBy reports whether the list is signed with this very certificate.
func (m *machine) signedBy(list string, cert *x509.Certificate) bool {
	m.Helper()
	data, err := os.ReadFile(m.list(list))
	m.OK(err)
	body, sig, _, err := digestlist.SplitSignature(data)
	m.OK(err)
	_, err = digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{cert})
	return err == nil && bytes.Contains(data, cert.Raw)
}

func (m *machine) wantSignedBy(list string, cert *x509.Certificate) {
	m.Helper()
	for end := time.Now().Add(time.Minute); !m.signedBy(list, cert); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			m.Fatalf("%s is not signed with the certificate of %s", list, cert.Issuer)
		}
	}
}

// TestCertificateOfAnAuthority: a certificate for the same key takes the place of the
// one that digestd made, from enrolment to the last list.
func TestCertificateOfAnAuthority(t *testing.T) {
	keyringtest.IMA(t)
	m := newMachine(t)
	m.importKey("vendor")
	m.rsaIdentity()
	m.Start()
	const list = "tlv-hello-0:1-1.noarch"
	m.RPM("-U", m.build("hello-1-1.noarch"))
	m.WantLists(list)
	own := m.Certificate()
	m.wantSignedBy(list, own)

	cert := m.certify(nil)
	if out := m.Must("keys", "enrol", "--ima"); !strings.Contains(out, "loaded the certificate") {
		t.Errorf("enrol says:\n%s", out)
	}
	m.wantSignedBy(list, cert)
	m.Wholesome()
	der := func(want *x509.Certificate) {
		t.Helper()
		if data, err := os.ReadFile(filepath.Join(m.State(), "signing.der")); err != nil || !bytes.Equal(data, want.Raw) {
			t.Errorf("signing.der is not the certificate of %s (%v)", want.Issuer, err)
		}
	}
	der(cert)
	if skids := m.inKernel(); !slices.Equal(skids, []string{hex.EncodeToString(cert.SubjectKeyId)}) {
		t.Errorf("the kernel has %v", skids)
	}

	// One that took its place while digestd did not run is followed by the start.
	m.Stop()
	again := m.certify(nil)
	m.Start()
	m.wantSignedBy(list, again)
	der(again)
	m.Wholesome()

	// A certificate that no kernel would take is refused, and nothing changes.
	for what, change := range map[string]func(*x509.Certificate){
		"digital signatures": func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment },
		"CA certificate": func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
		},
	} {
		m.certify(change)
		out, err := m.Digestctl("keys", "enrol", "--ima").CombinedOutput()
		if err == nil || !strings.Contains(string(out), what) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	m.wantSignedBy(list, again)
	der(again)
}

// TestBlacklistOfWideSigner: the kernel compares "bin:" with the digest by which a list
// was signed, which is longer for keys on greater curves.
func TestBlacklistOfWideSigner(t *testing.T) {
	for name, wide := range map[string]struct {
		curve elliptic.Curve
		sum   func([]byte) string
	}{
		"P-256": {elliptic.P256(), func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }},
		"P-384": {elliptic.P384(), func(b []byte) string { return fmt.Sprintf("%x", sha512.Sum384(b)) }},
		"P-521": {elliptic.P521(), func(b []byte) string { return fmt.Sprintf("%x", sha512.Sum512(b)) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.importKey("vendor")
			key, err := ecdsa.GenerateKey(wide.curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			m.identityFiles(key, "")
			m.Start()
			m.RPM("-U", m.build("hello-1-1.noarch"))
			m.WantLists("tlv-hello-0:1-1.noarch")
			data, err := os.ReadFile(m.list("tlv-hello-0:1-1.noarch"))
			if err != nil {
				t.Fatal(err)
			}
			body, _, _, err := digestlist.SplitSignature(data)
			if err != nil {
				t.Fatal(err)
			}
			m.Stop()
			m.Start() // what is recorded outlives the process
			m.RPM("-U", m.build("hello-2-1.noarch"))
			m.WantLists("tlv-hello-0:2-1.noarch")
			if out := strings.TrimSpace(m.Must("keys", "export-blacklist")); out != "bin:"+wide.sum(body) {
				t.Errorf("exported %q, want bin:%s", out, wide.sum(body))
			}
		})
	}
}

// TestFormatThatLocksOut: a kernel with the cache refuses the parser's module.
func TestFormatThatLocksOut(t *testing.T) {
	m := newMachine(t)
	m.Config = []string{"format = \"rpm\"\n"}
	m.Start()
	if !slices.ContainsFunc(m.Status().Problems, func(p api.Problem) bool {
		return p.ID == "format" && strings.Contains(p.Text, "until you load the module manually")
	}) {
		t.Errorf("nobody warns of the format: %+v", m.Status().Problems)
	}
}
