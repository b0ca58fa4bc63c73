// SPDX-License-Identifier: Apache-2.0

package format_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/cmd/digestctl/ctltest"
	"github.com/digestd/digestd/cmd/digestctl/format"
	"github.com/digestd/digestd/integration/pkgtest"
)

// desk is a directory on which somebody works with lists.
type desk struct {
	*testing.T
	dir string
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *desk) write(name string, data []byte) {
	d.Helper()
	if err := os.WriteFile(d.path(name), data, 0o600); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) read(name string) []byte {
	d.Helper()
	data, err := os.ReadFile(d.path(name))
	if err != nil {
		d.Fatal(err)
	}
	return data
}

// run runs digestctl format, on files of the desk, and wants an exit code and words.
func (d *desk) run(code int, words string, args ...string) string {
	d.Helper()
	for i, a := range args {
		if i > 0 && !strings.HasPrefix(a, "-") && a != "tlv" && a != "rpm" {
			args[i] = d.path(a)
		}
	}
	out, errOut, got := ctltest.Run(d, format.Command, append([]string{"format"}, args...)...)
	if got != code || !strings.Contains(out+errOut, words) {
		d.Errorf("format %v: exit code %d, want %d with %q\n%s%s", args, got, code, words, out, errOut)
	}
	return out
}

// signer makes a key and a certificate on the desk: NAME.key and NAME.crt in PEM,
// NAME.der.
func (d *desk) signer(name string) {
	d.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: []byte(name)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, crypto.Signer(key).Public(), key)
	if err != nil {
		d.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		d.Fatal(err)
	}
	d.write(name+".der", der)
	d.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	d.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// newDesk has a package by a vendor, tool.rpm, one that nobody signed, bare.rpm, and
// certificates of the vendor and of a stranger.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t, t.TempDir()}
	for _, owner := range []string{"vendor", "stranger"} {
		key, err := pkgtest.NewKey(owner, 2048)
		if err != nil {
			t.Fatal(err)
		}
		d.write(owner+".asc", key.Armor)
		p := pkgtest.Package{Name: "tool", Version: "1", Release: "2", Arch: "noarch", Files: map[string]string{"/usr/bin/a": "a", "/usr/bin/b": "b"}}
		name := "bare.rpm"
		if owner == "vendor" {
			p.Key, name = key, "tool.rpm"
		}
		file, err := p.Build(d.dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file, d.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	d.signer("machine")
	d.signer("other")
	return d
}

// A package becomes an rpm list that has its own signature, and that a tlv list, which
// is signed anew; each is verified by the keys it is signed by, and by no others.
func TestPackageToLists(t *testing.T) {
	d := newDesk(t)
	d.run(0, "rpm-tool: rpm, 2 entries", "convert", "tool.rpm", "rpm-tool")
	var doc struct {
		Lists []struct {
			Format, Package string
			Signature       struct{ Kind, Verified string }
		}
	}
	if err := json.Unmarshal([]byte(d.run(0, "", "check", "rpm-tool", "--key", "vendor.asc", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	if l := doc.Lists[0]; l.Format != "rpm" || l.Package != "tool-1-2.noarch" || l.Signature.Kind != "pgp" || !strings.HasPrefix(l.Signature.Verified, "vendor") {
		t.Errorf("the rpm list is %+v", l)
	}
	d.run(3, "", "check", "rpm-tool", "--key", "stranger.asc")
	d.run(3, "--key gave no key for a signature of kind pgp", "check", "rpm-tool", "--key", "machine.crt")
	altered := d.read("rpm-tool")
	altered[bytes.Index(altered, []byte("noarch"))] ^= 1
	d.write("rpm-altered", altered)
	d.run(3, "", "check", "rpm-altered", "--key", "vendor.asc")

	d.run(0, "tlv-tool: tlv, 2 entries", "convert", "rpm-tool", "tlv-tool", "--sign-key", "machine.key", "--sign-cert", "machine.crt")
	for _, cert := range []string{"machine.crt", "machine.der"} {
		d.run(0, "machine", "check", "tlv-tool", "--key", cert)
	}
	d.run(0, "machine", "check", "tlv-tool", "--key", "other.crt", "--key", "machine.crt")
	d.run(3, "", "check", "tlv-tool", "--key", "other.crt")
	d.run(3, "--key gave no key for a signature of kind pkcs7", "check", "tlv-tool", "--key", "vendor.asc")
	d.run(0, "signer", "show", "tlv-tool")

	d.run(0, "signature   none", "convert", "tlv-tool", "tlv-stripped", "--strip")
	d.run(3, "it is not signed", "check", "tlv-stripped", "--key", "machine.crt")
	d.run(0, "2 entries", "convert", "bare.rpm", "tlv-bare")
	if !bytes.Equal(d.read("tlv-bare"), d.read("tlv-stripped")) {
		t.Error("of the same files another list was made")
	}
	d.run(1, "a tlv list does not contain the package header", "convert", "tlv-tool", "rpm-x")
}

// A file that is no package, key or list is named, and nothing is written.
func TestCannotConvert(t *testing.T) {
	d := newDesk(t)
	whole := d.read("tool.rpm")
	cut := func(n int) []byte { return whole[:n] }
	d.write("lead.rpm", cut(96))
	d.write("signature.rpm", cut(120))
	d.write("header.rpm", cut(len(whole)/2))
	d.write("text", []byte("no key\n"))
	d.write("broken.crt", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	both := append(d.read("machine.crt"), d.read("other.crt")...)
	d.write("both.crt", both)
	for words, args := range map[string][]string{
		"at byte 96: there is no header":                     {"lead.rpm", "tlv-x"},
		"at byte 96: the header has ":                        {"signature.rpm", "tlv-x"},
		"cannot read package ":                               {"header.rpm", "tlv-x"},
		"cannot read keys in ":                               {"tool.rpm", "tlv-x", "--sign-key", "machine.key", "--sign-cert", "broken.crt"},
		"both.crt has 2 certificates; exactly one is needed": {"tool.rpm", "tlv-x", "--sign-key", "machine.key", "--sign-cert", "both.crt"},
		"text: cannot read certificate: there is none":       {"tool.rpm", "tlv-x", "--sign-key", "machine.key", "--sign-cert", "text"},
		"not PEM":                               {"tool.rpm", "tlv-x", "--sign-key", "text", "--sign-cert", "machine.crt"},
		"cannot use key " + d.path("other.key"): {"tool.rpm", "tlv-x", "--sign-key", "other.key", "--sign-cert", "machine.crt"},
		"cannot read list: open " + d.path("absent") + ": ": {"absent", "tlv-x"},
		"cannot write " + d.path("tlv-x/below"):             {"tool.rpm", "tlv-x/below"},
	} {
		d.run(1, words, append([]string{"convert"}, args...)...)
		if _, err := os.Lstat(d.path("tlv-x")); err == nil {
			t.Fatalf("%v wrote something", args)
		}
	}
	left, err := filepath.Glob(d.path(".digestctl-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
