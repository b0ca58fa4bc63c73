// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/image"
	"github.com/digestd/digestd/digestlist"
)

// signed makes the file of a list, signed by a key on that curve.
func signed(t *testing.T, body string, curve elliptic.Curve) (file []byte, by *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "builder"}, SubjectKeyId: make([]byte, 20), NotAfter: time.Now().Add(time.Hour)}
	rand.Read(template.SubjectKeyId)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := digestlist.SignPKCS7([]byte(body), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return digestlist.AppendSignature(nil, []byte(body), sig, digestlist.SigPKCS7), cert
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	const body = "what a header says"
	file, cert := signed(t, body, elliptic.P256())
	wide, wideCert := signed(t, body, elliptic.P384())
	_, stranger := signed(t, body, elliptic.P256())
	for name, data := range map[string][]byte{
		"good": file, "tlv-good": file, "wide": wide, "unsigned": []byte(body), "trailing": append(bytes.Clone(file), 0), "short": file[:len(file)-1],
		"pgp":    digestlist.AppendSignature(nil, []byte(body), []byte("x"), digestlist.SigPGP),
		"broken": digestlist.AppendSignature(nil, []byte(body), []byte("x"), digestlist.SigPKCS7),
		"huge":   append([]byte(body), make([]byte, 1<<20)...),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "good")
	if err := os.WriteFile(outside, file, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"leads-out": outside, "device": "/dev/zero"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	lists, err := image.Open(dir, []*x509.Certificate{cert, wideCert})
	if err != nil {
		t.Fatal(err)
	}
	defer lists.Close()
	l, found := lists.Find("good", []byte(body))
	if !found || !bytes.Equal(l.File, file) || l.Signer != image.ID(cert) || l.Wide != "" || l.Digest() != sha256.Sum256(file) {
		t.Errorf("found %v: %+v", found, l)
	}
	if o, found := lists.Find(digestlist.Sequenced(7, "tlv-good"), []byte(body)); !found || !bytes.Equal(o.File, l.File) {
		t.Error("a sequence number of this machine hides the list")
	}
	if l, found := lists.Find("wide", []byte(body)); !found || l.Signer != image.ID(wideCert) || len(l.Wide) != 96 {
		t.Errorf("found %v: %+v", found, l)
	}
	for _, name := range []string{"unsigned", "trailing", "short", "pgp", "broken", "huge", "leads-out", "device", "directory", "absent", "../" + filepath.Base(dir) + "/good"} {
		if l, found := lists.Find(name, []byte(body)); found {
			t.Errorf("%s: %+v", name, l)
		}
	}
	for _, other := range []string{"what a header sayz", "what a header say", "what a header says."} {
		if _, found := lists.Find("good", []byte(other)); found {
			t.Errorf("the list is taken for %q", other)
		}
	}
	if got := lists.Signers(); len(got) != 2 || got[0] != image.ID(cert) {
		t.Errorf("signers %q", got)
	}
	other, err := image.Open(dir, []*x509.Certificate{stranger})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, found := other.Find("good", []byte(body)); found {
		t.Error("a list counts that a stranger signed")
	}
}

func TestNoLists(t *testing.T) {
	file, cert := signed(t, "body", elliptic.P256())
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, file, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "absent")} {
		lists, err := image.Open(dir, []*x509.Certificate{cert})
		if lists != nil || err != nil {
			t.Errorf("%q: %v, %v", dir, lists, err)
		}
		if _, found := lists.Find("a", nil); found || lists.Signers() != nil {
			t.Errorf("%q has lists", dir)
		}
		lists.Close()
	}
	if lists, err := image.Open(t.TempDir(), nil); lists != nil || err != nil {
		t.Errorf("without certificates: %v, %v", lists, err)
	}
	if _, err := image.Open(plain, []*x509.Certificate{cert}); err == nil {
		t.Error("a file is a directory")
	}
}
