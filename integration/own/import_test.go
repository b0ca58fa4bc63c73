// SPDX-License-Identifier: Apache-2.0

package own_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/pkgtest"
)

// builder is somebody elsewhere who makes and signs lists.
type builder struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func newBuilder(t *testing.T, name string) *builder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256([]byte(name))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: id[:20]}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &builder{key, cert}
}

// named is b with a certificate that has another subject key identifier.
func (b *builder) named(t *testing.T, ski []byte) *builder {
	t.Helper()
	template := *b.cert
	template.SubjectKeyId = ski
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, b.key.Public(), b.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &builder{b.key, cert}
}

// id is the name of the certificate: nothing that is written in it.
func (b *builder) id() string {
	sum := sha256.Sum256(b.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// trust puts the certificate where the owner keeps those that are trusted.
func (m *machine) trust(b *builder) (file string) {
	m.Helper()
	file = filepath.Join(m.Keys(), b.cert.Subject.CommonName+".crt")
	m.OK(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.cert.Raw}), 0o644))
	return file
}

// list signs a list of files with these contents and returns its file.
func (b *builder) list(t *testing.T, contents map[string]string) string {
	t.Helper()
	var entries []digestlist.Entry
	for path, content := range contents {
		sum := sha256.Sum256([]byte(content))
		entries = append(entries, digestlist.Entry{Digest: sum[:], Path: path})
	}
	body, err := digestlist.AppendTLV(nil, []digestlist.Group{{Algo: digestlist.SHA256, Entries: entries}})
	if err != nil {
		t.Fatal(err)
	}
	return b.sign(t, body)
}

func (b *builder) sign(t *testing.T, body []byte) string {
	t.Helper()
	sig, err := digestlist.SignPKCS7(body, b.cert, b.key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tlv-list")
	if err := os.WriteFile(file, digestlist.AppendSignature(nil, body, sig, digestlist.SigPKCS7), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestImport(t *testing.T) {
	m := start(t)
	b := newBuilder(t, "builder")
	m.Write("/opt/app", "one")
	one, two := b.list(t, map[string]string{"/opt/app": "one"}), b.list(t, map[string]string{"/opt/app": "two"})
	m.Fails(2, "not trusted", "own", "import", "app", one)
	m.Vouched("/opt/app", false)

	cert := m.trust(b)
	if r := decode[api.OwnResult](m, "own", "import", "app", one, "--reason", "release 1"); r.Version != 1 || r.Files != 1 || r.Labelled != 1 {
		t.Errorf("%+v", r)
	}
	m.Vouched("/opt/app", true)
	if own := decode[api.Own](m, "own", "show", "app"); own.Key != b.id() {
		t.Errorf("signed elsewhere by %q", own.Key)
	}
	m.Fails(2, "made and signed elsewhere", "own", "add", "app", m.Path("/opt/app"))
	m.Fails(2, "made and signed elsewhere", "own", "update", "app")

	// The next version, and the one before it.
	m.Must("own", "import", "app", two)
	m.Vouched("/opt/app", false)
	m.Fails(1, "own:app-1-1.noarch is older than 2-1", "own", "import", "app", one)
	m.Fails(1, "own:app-1-1.noarch is older than 2-1", "own", "import", "elsewhere", one)

	// Forgeries: another key, another content, no signature, another kind of file.
	stranger := newBuilder(t, "stranger")
	m.Fails(2, "not trusted", "own", "import", "bad", stranger.list(t, map[string]string{"/opt/app": "evil"}))
	data, err := os.ReadFile(two)
	m.OK(err)
	harmed := func(change func([]byte) []byte) string {
		file := filepath.Join(t.TempDir(), "tlv-harmed")
		if err := os.WriteFile(file, change(append([]byte(nil), data...)), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for words, change := range map[string]func([]byte) []byte{
		"cannot verify":         func(b []byte) []byte { b[40] ^= 1; return b },
		"it is not signed":      func(b []byte) []byte { return b[:len(b)-1] },
		"sig_len":               func(b []byte) []byte { b[len(b)-28-1] ^= 0xff; return b },
		"cannot read PKCS#7":    func(b []byte) []byte { b[len(b)-28-12-60] ^= 0xff; b[200] ^= 0xff; return b },
		"cannot read the list":  func([]byte) []byte { return nil },
		"the list is malformed": nil,
	} {
		if change == nil {
			m.Fails(2, "before its DIGEST_LIST_NUM_ENTRIES", "own", "import", "bad", b.sign(t, []byte("\x00\x00\x00\x00\x00\x02\x00\x04\x00\x02\x00\x00\x00\x01x")))
			continue
		}
		if out, errOut, code := m.Ctl("own", "import", "bad", harmed(change)); code == 0 || !strings.Contains(errOut, words) && words != "cannot read PKCS#7" && words != "cannot read the list" {
			t.Errorf("%s: exit code %d\n%s%s", words, code, out, errOut)
		}
	}
	if _, _, code := m.Ctl("own", "show", "bad"); code != 3 {
		t.Error("a forgery left something behind")
	}
	m.wholesome("app.2.imported")

	// The list stands as long as the key is trusted, over restarts.
	m.Write("/opt/app", "two")
	m.Vouched("/opt/app", true)
	m.Must("keys", "revoke", b.id(), "--reason", "test")
	m.Vouched("/opt/app", false)
	m.Stop()
	m.Start()
	m.Vouched("/opt/app", false)
	m.Fails(2, "not trusted", "own", "import", "app", b.list(t, map[string]string{"/opt/app": "three"}))
	m.Must("keys", "restore", b.id(), "--reason", "test")
	m.Until("vouched for by a restored key", func() bool { return m.Why("/opt/app").Vouched })
	m.OK(os.Remove(cert))
	m.Until("vouched for by none without a certificate", func() bool { return !m.Why("/opt/app").Vouched })
	m.trust(b)
	m.Until("vouched for with the certificate", func() bool { return m.Why("/opt/app").Vouched })
}

// TestImporterNamedAsAnother: whatever a certificate says of itself, its lists are its own,
// and what becomes of another concerns it no more than that becomes of it.
func TestImporterNamedAsAnother(t *testing.T) {
	m := start(t)
	one, two := newBuilder(t, "one"), newBuilder(t, "two")
	two = two.named(t, one.cert.SubjectKeyId)
	m.trust(one)
	m.trust(two)
	m.Write("/opt/one", "one")
	m.Write("/opt/two", "two")
	m.Must("own", "import", "one", one.list(t, map[string]string{"/opt/one": "one"}))
	m.Must("own", "import", "two", two.list(t, map[string]string{"/opt/two": "two"}))
	for name, b := range map[string]*builder{"one": one, "two": two} {
		if own := decode[api.Own](m, "own", "show", name); own.Key != b.id() {
			t.Errorf("%s was signed by %s, it says by %q", name, b.id(), own.Key)
		}
	}
	m.Must("keys", "revoke", two.id(), "--reason", "test")
	m.Vouched("/opt/two", false)
	m.Vouched("/opt/one", true)
	m.Fails(2, "not trusted", "own", "import", "again", two.list(t, map[string]string{"/opt/two": "three"}))
	m.Must("own", "import", "one", one.list(t, map[string]string{"/opt/one": "four"}))
}

// A package's header with its signature, as digest-cache-tools write it, is as good
// as the package.
func TestImportPackageList(t *testing.T) {
	m := start(t)
	key := m.vendor()
	m.Must("sync")
	file := m.pkg(key, "hello", "1", map[string]string{"/opt/hello": "hello"})
	list := filepath.Join(t.TempDir(), "rpm-hello-1-1.noarch")
	m.Must("format", "convert", file, list)
	armor := filepath.Join(t.TempDir(), "vendor.asc")
	m.OK(os.WriteFile(armor, key.Armor, 0o644))
	if out := m.Must("format", "check", "--key", armor, list); !strings.Contains(out, "verified    vendor <vendor@example.org>") || !strings.Contains(out, "package     hello-1-1.noarch") {
		t.Errorf("format check:\n%s", out)
	}
	stranger, err := pkgtest.NewKey("stranger", 2048)
	m.OK(err)
	m.OK(os.WriteFile(armor, stranger.Armor, 0o644))
	if out, _, code := m.Ctl("format", "check", "--key", armor, list); code != 3 {
		t.Errorf("another key vouches for it: exit code %d\n%s", code, out)
	}
	m.Write("/opt/hello", "hello")
	if r := decode[api.OwnResult](m, "own", "import", "hello", list); r.Files != 1 {
		t.Errorf("%+v", r)
	}
	m.Vouched("/opt/hello", true)
	tlv := filepath.Join(t.TempDir(), "tlv-hello")
	m.Must("format", "convert", list, tlv)
	m.Fails(2, "it is not signed", "own", "import", "other", tlv)
	// Its key is one like any other.
	m.Must("keys", "revoke", decode[api.Own](m, "own", "show", "hello").Key, "--reason", "test")
	m.Vouched("/opt/hello", false)
}
