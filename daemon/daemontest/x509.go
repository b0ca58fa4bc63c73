// SPDX-License-Identifier: Apache-2.0

package daemontest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate makes an RSA key of so many bits and a certificate of it that is valid now
// and may sign, unless change says otherwise. It is its own issuer.
func Certificate(t testing.TB, bits int, change ...func(*x509.Certificate)) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test of " + t.Name()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20),
	}
	rand.Read(template.SubjectKeyId)
	for _, change := range change {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// PEM is a certificate as files have it.
func PEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// SignByRSA gives the machine, which must have been stopped, another key to sign lists by:
// there are kernels that take a certificate of an RSA key and none of a key on a curve.
func (m *Machine) SignByRSA(t testing.TB) *x509.Certificate {
	t.Helper()
	cert, key := Certificate(t, 2048)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"signing.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), "signing.crt": PEM(cert), "signing.der": cert.Raw,
	} {
		if err := os.WriteFile(filepath.Join(m.Config.State, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert
}
