// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto"
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
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/kernel"
	"golang.org/x/sys/unix"
)

// load does what a start does.
func load(t *testing.T, dir string) Loaded {
	t.Helper()
	found, err := Files{Dir: dir}.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// refused is the error of a start that must fail.
func refused(t *testing.T, dir string) string {
	t.Helper()
	found, err := Files{Dir: dir}.Load(t.Context(), slog.New(slog.DiscardHandler), time.Now())
	if err == nil {
		t.Fatalf("a start signs by %s", found.Identity.SKI())
	}
	return err.Error()
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

// certify makes a certificate of a key, by another or itself, which change may alter
// before it is signed.
func certify(t *testing.T, key, by crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "test"}, Issuer: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: []byte("twenty bytes as usual"),
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// of is the identity of a key.
func of(t *testing.T, key crypto.Signer) *Identity {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id, err := assemble(pemOf("PRIVATE KEY", der), pemOf("CERTIFICATE", certify(t, key, key, nil).Raw), "signing.crt")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newEC(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The first start makes a key, by which all later ones sign; nobody else can read it, and
// .ima takes its certificate.
func TestFirstStartMakesTheKey(t *testing.T) {
	dir := t.TempDir()
	first := load(t, dir).Identity
	for name, mode := range map[string]os.FileMode{KeyFile: 0o600, CertFile: 0o644, DERFile: 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %o", name, info, err, mode)
		}
	}
	if err := CheckCertificate(first.Cert); err != nil {
		t.Error(err)
	}
	if der := content(t, filepath.Join(dir, DERFile)); !bytes.Equal(der, first.Cert.Raw) {
		t.Error("signing.der is another certificate than signing.crt")
	}
	if err := first.Cert.CheckSignature(first.Cert.SignatureAlgorithm, first.Cert.RawTBSCertificate, first.Cert.Signature); err != nil {
		t.Error(err)
	}
	second := load(t, dir).Identity
	if !bytes.Equal(first.Cert.Raw, second.Cert.Raw) || second.Path != filepath.Join(dir, CertFile) || second.KeyPath() != filepath.Join(dir, KeyFile) {
		t.Errorf("the second start signs by %s in %s, the first by %s", second.SKI(), second.KeyPath(), first.SKI())
	}
	body := []byte("a list")
	sig, wide, err := second.Sign(body, sha256.Sum256(body))
	if err != nil || wide != "" {
		t.Fatalf("signature of a list: %q, %v", wide, err)
	}
	if by, err := digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{first.Cert}); err != nil || !by.Equal(first.Cert) {
		t.Error(err)
	}
	sum := sha256.Sum256(first.Cert.Raw)
	got := Describe(first.Cert, "/somewhere")
	if got.SKI != first.SKI() || got.Fingerprint != hex.EncodeToString(sum[:]) || got.Path != "/somewhere" || !got.NotAfter.Equal(first.Cert.NotAfter) || !strings.HasPrefix(got.Subject, "CN=digestd list signing key of ") {
		t.Errorf("described as %+v", got)
	}
}

// A key of another kind may digest lists otherwise: the kernel's .blacklist then knows
// them by that digest.
func TestListSignedByAWideKey(t *testing.T) {
	id := of(t, newEC(t, elliptic.P384()))
	body := []byte("a list")
	sig, wide, err := id.Sign(body, sha256.Sum256(body))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha512.Sum384(body); wide != hex.EncodeToString(sum[:]) {
		t.Errorf("known by %q, want the SHA-384 %x", wide, sum)
	}
	if _, err := digestlist.VerifyPKCS7(body, sig, []*x509.Certificate{id.Cert}); err != nil {
		t.Error(err)
	}
}

// A crash may leave a key without a certificate, by which nothing was signed: another takes
// its place. A certificate without its key ends the trust in it, so a start refuses.
func TestHalfAnIdentity(t *testing.T) {
	dir := t.TempDir()
	first := load(t, dir).Identity
	if err := os.Remove(filepath.Join(dir, CertFile)); err != nil {
		t.Fatal(err)
	}
	second := load(t, dir).Identity
	if second.SKI() == first.SKI() {
		t.Error("the key without a certificate is still in use")
	}
	if err := os.Remove(filepath.Join(dir, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if got := refused(t, dir); !strings.HasPrefix(got, "cannot read signing key: ") {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(dir, KeyFile)); err == nil {
		t.Error("another key was made")
	}
}

// A key that others could have put there, or can read, signs nothing.
func TestUnsafeIdentity(t *testing.T) {
	needs.Root(t) // to give a file to somebody else
	other := newEC(t, elliptic.P256())
	for name, test := range map[string]struct {
		spoil func(t *testing.T, key, cert string)
		says  string
	}{
		"key that others can read": {func(t *testing.T, key, _ string) { os.Chmod(key, 0o640) }, "mode 0640 lets other users read it"},
		"link":                     {func(t *testing.T, key, _ string) { os.Rename(key, key+".away"); os.Symlink(key+".away", key) }, "cannot read signing key: "},
		"FIFO": {func(t *testing.T, key, _ string) {
			os.Remove(key)
			if err := unix.Mkfifo(key, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
		"another user's": {func(t *testing.T, _, cert string) { os.Chown(cert, 65534, 65534) }, "belongs to user 65534"},
		"too large":      {func(t *testing.T, key, _ string) { os.Truncate(key, maxIdentityFile+1) }, "is larger than"},
		"no PEM":         {func(t *testing.T, _, cert string) { os.Truncate(cert, 10) }, "not PEM"},
		"no key":         {func(t *testing.T, key, _ string) { os.Truncate(key, 10) }, "neither PEM nor a PKCS#11 URI"},
		"certificate of another key": {func(t *testing.T, _, cert string) {
			write(t, cert, pemOf("CERTIFICATE", certify(t, other, other, nil).Raw), 0o644)
		}, "belongs to another key"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			load(t, dir)
			test.spoil(t, filepath.Join(dir, KeyFile), filepath.Join(dir, CertFile))
			if got := refused(t, dir); !strings.Contains(got, test.says) {
				t.Errorf("%s, want that it says %q", got, test.says)
			}
		})
	}
	if got, err := (Files{Dir: t.TempDir(), Where: "nowhere"}).Load(t.Context(), slog.New(slog.DiscardHandler), time.Now()); err == nil {
		t.Errorf("a key was made nowhere: %+v", got)
	}
}

// Only a certificate that the kernel takes, and by which lists can be verified, may be put
// in the place of the one that signs.
func TestCheckCertificate(t *testing.T) {
	key := newEC(t, elliptic.P256())
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		says   string // "" if it is good
	}{
		"good":                      {nil, ""},
		"without an identifier":     {func(c *x509.Certificate) { c.SubjectKeyId = nil }, "no subject key identifier"},
		"not for signatures":        {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, "not for digital signatures"},
		"for certificates as well":  {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, "it is a CA certificate"},
		"of an authority, in a way": {func(c *x509.Certificate) { c.IsCA = true }, "it is a CA certificate"},
	} {
		err := CheckCertificate(certify(t, key, key, test.change))
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

// An owner who puts another certificate of the same key in place has it used by the next
// start, and what the one before signed still counts as ours.
func TestCertificateIsFollowed(t *testing.T) {
	dir := t.TempDir()
	first := load(t, dir).Identity
	authority := newEC(t, elliptic.P256())
	better := certify(t, first.Key, authority, func(c *x509.Certificate) { c.SubjectKeyId = first.Cert.SubjectKeyId })
	write(t, filepath.Join(dir, CertFile), pemOf("CERTIFICATE", better.Raw), 0o644)
	for start := range 2 {
		found := load(t, dir)
		if !found.Identity.Cert.Equal(better) || !bytes.Equal(content(t, filepath.Join(dir, DERFile)), better.Raw) {
			t.Errorf("start %d signs by %s", start, found.Identity.Cert.Subject)
		}
		if len(found.Old) != 1 || !found.Old[0].Equal(first.Cert) || found.Unread != nil {
			t.Errorf("start %d finds that %d signed before: %v", start, len(found.Old), found.Unread)
		}
	}
}

// One certificate that cannot be read keeps a start neither from signing nor from knowing
// the others that signed before.
func TestUnreadableOldCertificate(t *testing.T) {
	dir := t.TempDir()
	load(t, dir)
	rotate(t, dir)
	old := filepath.Join(dir, view.OldDir)
	write(t, filepath.Join(old, "00.crt"), []byte("nonsense"), 0o644)
	write(t, filepath.Join(old, "README"), []byte("not a certificate, nor called one"), 0o644)
	found := load(t, dir)
	if len(found.Old) != 1 || found.Unread == nil || !strings.Contains(found.Unread.Error(), "00.crt: not PEM") {
		t.Errorf("%d are known, unread: %v", len(found.Old), found.Unread)
	}
	if _, err := ReadCertificate(filepath.Join(old, "none.crt")); !os.IsNotExist(err) {
		t.Errorf("of a certificate that is not there: %v", err)
	}
}

// Signatures on files tell whose they are and what they vouch for.
func TestIMASignature(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ECDSA": newEC(t, elliptic.P256()), "RSA": rsaKey} {
		id := of(t, key)
		for _, version := range []uint8{kernel.IMAVersion2, kernel.IMAVersion3} {
			testIMASignature(t, fmt.Sprint(name, ", version ", version), id, version)
		}
	}
	for algo, want := range map[digestlist.Algo]crypto.Hash{digestlist.SHA224: crypto.SHA224, digestlist.SHA256: crypto.SHA256, digestlist.SHA384: crypto.SHA384, digestlist.SHA512: crypto.SHA512, digestlist.SHA1: 0} {
		if got := (Vouched{Algo: algo}).Hash(); got != want {
			t.Errorf("a digest by %s is signed by %v, want %v", algo, got, want)
		}
	}
}

func testIMASignature(t *testing.T, name string, id *Identity, version uint8) {
	t.Helper()
	sum, sum384 := sha256.Sum256([]byte("content")), sha512.Sum384([]byte("content"))
	narrow := Vouched{digestlist.SHA256, string(sum[:])}
	value, err := id.IMASignature(narrow, version)
	if err != nil {
		t.Fatal(name, err)
	}
	wide, err := id.IMASignature(Vouched{digestlist.SHA384, string(sum384[:])}, version)
	if err != nil {
		t.Fatal(name, err)
	}
	torn := slices.Clone(value)
	torn[len(torn)-1] ^= 1
	foreign := slices.Clone(value)
	foreign[6] ^= 1 // the key's identifier
	for what, got := range map[string]struct{ is, want bool }{
		"signature":                         {id.Signed(value, narrow, version), true},
		"signature by SHA-384":              {id.Signed(wide, Vouched{digestlist.SHA384, string(sum384[:])}, version), true},
		"signature of another content":      {id.Signed(value, Vouched{digestlist.SHA256, strings.Repeat("x", 32)}, version), false},
		"signature by another algorithm":    {id.Signed(wide, narrow, version), false},
		"torn signature":                    {id.Signed(torn, narrow, version), false},
		"signature by another":              {id.Signed(foreign, narrow, version), false},
		"signature of another version":      {id.Signed(value, narrow, 5-version), false},
		"no signature":                      {id.Signed(nil, narrow, version), false},
		"ours, torn":                        {id.Made(torn), true},
		"ours, by another":                  {id.Made(foreign), false},
		"made here":                         {MadeHere([]*x509.Certificate{id.Cert}, value), true},
		"made here, by another":             {MadeHere([]*x509.Certificate{id.Cert}, foreign), false},
		"made here, no certificate":         {MadeHere(nil, value), false},
		"made here, a digest, no signature": {MadeHere([]*x509.Certificate{id.Cert}, append([]byte{4, 4}, sum[:]...)), false},
	} {
		if got.is != got.want {
			t.Errorf("%s, %s: %t", name, what, got.is)
		}
	}
	if _, err := id.IMASignature(Vouched{Algo: digestlist.SHA1, Digest: strings.Repeat("x", 20)}, version); err == nil {
		t.Errorf("%s signs a digest by SHA-1", name)
	}
}
