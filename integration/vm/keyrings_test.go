// SPDX-License-Identifier: Apache-2.0

package vm_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
)

// The kernel's keyrings, filled as they are on real machines: .platform and
// .blacklist by the firmware. It names the certificate that the machine signs
// lists with, the list of bulk000 1.0 and a file of hello 1.0.
func TestKernelKeyrings(t *testing.T) {
	m := newMachine(t)
	tree := packages(t)
	signer := selfSigned(t, "digestd of this machine", filepath.Join(tree, "var/lib/digestd"))
	platform := selfSigned(t, "Firmware of the test", "")
	body := bodyDigest(t, filepath.Join(tree, "test/packages/bulk000-1.0-1.noarch.rpm"))
	file := sha256.Sum256([]byte("#!/bin/sh\necho hello, version 1.0\n"))
	tbs := sha256.Sum256(signer.RawTBSCertificate)
	m.efi = newEFI(t, m.dir, map[string][]byte{
		"db":  signatureList(t, certX509, platform.Raw),
		"dbx": append(signatureList(t, certSHA256, body[:], file[:]), signatureList(t, certX509SHA256, tbs[:])...),
	})
	config, err := os.ReadFile(filepath.Join(guest.dir, "config"))
	if err != nil {
		t.Fatal(err)
	}
	releases, err := filepath.Glob(filepath.Join(guest.dir, "root/usr/lib/modules/*"))
	if err != nil || len(releases) != 1 {
		t.Fatalf("kernels: %v, %v", releases, err)
	}
	m.boot(boot{
		script: "keyrings.sh", trees: []string{tree},
		files: map[string]string{
			"/test/facts": "signer=" + hex.EncodeToString(signer.SubjectKeyId) + "\nplatform=" + hex.EncodeToString(platform.SubjectKeyId) +
				"\nbody=bin:" + hex.EncodeToString(body[:]) + "\nfile=bin:" + hex.EncodeToString(file[:]) + "\ntbs=tbs:" + hex.EncodeToString(tbs[:]) + "\n",
			"/boot/config-" + filepath.Base(releases[0]): string(config), // as its package has it
			"/etc/digestd/digestd.conf.d/poll.conf":      "kernel-poll = \"1s\"\n",
			"/etc/digestd/blacklist.d/entry":             "bin:" + hex.EncodeToString(tbs[:]),
			"/etc/digestd/blacklist.d/entry.p7s":         "signed by nobody",
		},
	})
}

// selfSigned makes a certificate, and in dir, unless that is "", the signing
// identity of a machine.
func selfSigned(t *testing.T, name, dir string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20),
	}
	rand.Read(template.SubjectKeyId)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || dir == "" {
		return cert
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"signing.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"signing.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"signing.der": der,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert
}

// bodyDigest is that of the list that a package gets: of its header, which
// follows a lead of 96 bytes and the header of signatures, padded to 8.
func bodyDigest(t *testing.T, file string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	length := func(b []byte) int {
		return 16 + 16*int(binary.BigEndian.Uint32(b[8:])) + int(binary.BigEndian.Uint32(b[12:]))
	}
	data = data[96:]
	data = data[(length(data)+7)&^7:]
	h, err := header.Parse(data[8:length(data)])
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := digestlist.AppendPackageTLV(nil, h)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(body)
}
