// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRPMJudgesRevokedKey imports the revoked certificate afresh. rpm 4.18 is
// built with a parser that knows no revocations; 4.20 refuses the package before
// any plugin is asked; 6.1 says NOTTRUSTED, and goes on.
func TestRPMJudgesRevokedKey(t *testing.T) {
	everywhere(t, func(m *machine) {
		o := theVendor(m.TB)
		m.mustRPM("rpmkeys", "--import", o.revoked)
		said, _ := m.tool("rpmkeys", "--checksig", "--verbose", o.packages[0])
		if distrusts := strings.Contains(said, "NOTTRUSTED"); distrusts != (m.rpm != "4.18") {
			m.Errorf("rpm %s says\n%s", m.rpm, said)
		}
		m.Start()
		said, err := m.tool("rpm", "-U", o.packages[0])
		if err == nil || !strings.Contains(strings.ToLower(said), o.fingerprint) || !strings.Contains(said, "revoked") {
			m.Errorf("rpm %s with the plugin: %v\n%s", m.rpm, err, said)
		}
		m.wantLists("refusal")
	})
}

// TestWeakKeys sees that each is refused with its reason.
func TestWeakKeys(t *testing.T) {
	m := newMachine(t, &host, "rpmdb")
	g := newGnuPG(t, "rsa1024")
	keys := map[string]string{g.key: "1024 bits is too short"}
	m.trustFile("rsa1024.gpg", g.base)
	for algo, why := range map[string]string{"dsa2048": "DSA keys are not accepted", "brainpoolP256r1": "is not accepted"} {
		g.run(january, "", "--quick-generate-key", algo, algo, "cert,sign", "never")
		key := g.prints(algo)[0]
		keys[key] = why
		m.trustFile(algo+".gpg", g.run(february, "", "--export", key))
	}
	m.Start()
	for key, why := range keys {
		said := m.Must("keys", "show", strings.ToLower(key))
		if !strings.Contains(said, "weak") || !strings.Contains(said, why) {
			t.Errorf("digestctl says of %s, not %q:\n%s", key, why, said)
		}
	}
}

// TestRevocationLists puts CRLs into the directory: the signer of one may have
// lied, but an old one is as true as ever.
func TestRevocationLists(t *testing.T) {
	for _, test := range []struct {
		name      string
		forged    bool
		age       time.Duration
		others    int    // serial numbers in it besides
		revokes   bool   // the certificate that signs lists
		complaint string // in status
	}{
		{name: "good", revokes: true},
		{name: "by another key", forged: true, complaint: "its issuer did not sign it"},
		{name: "expired", age: 1000 * time.Hour, revokes: true},
		{name: "huge", others: 20_000, revokes: true},
		{name: "larger than is read", others: 60_000, complaint: "more than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, &host, "rpmdb")
			m.Start()
			cert, key := m.signer()
			issuer := *cert
			issuer.KeyUsage |= x509.KeyUsageCRLSign
			if test.forged {
				var err error
				if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
					t.Fatal(err)
				}
				issuer.PublicKey = key.Public()
			}
			made := time.Now().Add(-test.age)
			crl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: made, NextUpdate: made.Add(time.Hour)}
			for i := range test.others {
				crl.RevokedCertificateEntries = append(crl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i + 1)), RevocationTime: made})
			}
			crl.RevokedCertificateEntries = append(crl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: made})
			der, err := x509.CreateRevocationList(rand.Reader, crl, &issuer, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(m.In("revoked.d", "list.crl"), der, 0o644); err != nil {
				t.Fatal(err)
			}
			started := time.Now()
			m.Must("sync")
			if took := time.Since(started); took > time.Second {
				t.Errorf("%d bytes took %v", len(der), took)
			}
			now, _ := m.signer()
			if replaced := !bytes.Equal(now.SubjectKeyId, cert.SubjectKeyId); replaced != test.revokes {
				t.Errorf("certificate was replaced: %v, want %v", replaced, test.revokes)
			}
			if said, _, _ := m.Ctl("status"); test.complaint != "" && !strings.Contains(said, test.complaint) {
				t.Errorf("status does not say %q:\n%s", test.complaint, said)
			}
		})
	}
}

// signer returns the certificate and the key that sign lists.
func (m *machine) signer() (*x509.Certificate, *ecdsa.PrivateKey) {
	m.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(m.State(), name))
		m.OK(err)
		block, _ := pem.Decode(data)
		if block == nil {
			m.Fatalf("%s is not PEM", name)
		}
		return block.Bytes
	}
	cert, err := x509.ParseCertificate(read("signing.crt"))
	m.OK(err)
	key, err := x509.ParsePKCS8PrivateKey(read("signing.key"))
	m.OK(err)
	return cert, key.(*ecdsa.PrivateKey)
}
