// SPDX-License-Identifier: Apache-2.0

package digestlist_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestd/digestd/digestlist"
)

// signer is a key with its certificate, in memory and as files for openssl.
type signer struct {
	name string
	key  crypto.Signer
	cert *x509.Certificate
	dir  string // with key.pem and cert.pem
}

func newSigner(t testing.TB, name string, key crypto.Signer) signer {
	t.Helper()
	s := signer{name: name, key: key, dir: t.TempDir()}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "lists of " + name},
		SubjectKeyId: sum256(name)[:20],
		KeyUsage:     x509.KeyUsageDigitalSignature,
		NotBefore:    time.Unix(1700000000, 0),
		NotAfter:     time.Unix(2900000000, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	write(t, s.path("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return s
}

func (s signer) path(name string) string { return filepath.Join(s.dir, name) }

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rsaKeys are slow to make.
var rsaKeys = map[int]func() *rsa.PrivateKey{2048: rsaKey(2048), 3072: rsaKey(3072)}

func rsaKey(bits int) func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return key
	})
}

func newEC(t testing.TB, curve elliptic.Curve) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, curve.Params().Name, key)
}

// kinds are the keys that the kernel verifies, with the digest and the
// signature algorithm that a message of each must name.
func kinds(t testing.TB) []struct {
	signer
	digest, algorithm asn1.ObjectIdentifier
} {
	sha := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, n} }
	ecdsaWith := func(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, n} }
	rsaEncryption := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	return []struct {
		signer
		digest, algorithm asn1.ObjectIdentifier
	}{
		{newSigner(t, "RSA-2048", rsaKeys[2048]()), sha(1), rsaEncryption},
		{newSigner(t, "RSA-3072", rsaKeys[3072]()), sha(1), rsaEncryption},
		{newEC(t, elliptic.P256()), sha(1), ecdsaWith(2)},
		{newEC(t, elliptic.P384()), sha(2), ecdsaWith(3)},
		{newEC(t, elliptic.P521()), sha(3), ecdsaWith(4)},
	}
}

func openssl(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.Bytes()
}

// TestSignAgain: a signature depends on nothing but the key and what it signs.
func TestSignAgain(t *testing.T) {
	for _, k := range kinds(t) {
		var seen [2][]byte
		for i := range seen {
			var err error
			if seen[i], err = digestlist.SignPKCS7(signedBody, k.cert, k.key); err != nil {
				t.Fatal(err)
			}
		}
		other, err := digestlist.SignPKCS7([]byte("another body"), k.cert, k.key)
		if err != nil || !bytes.Equal(seen[0], seen[1]) || bytes.Equal(seen[0], other) {
			t.Errorf("%s: %v, the same twice: %t", k.name, err, bytes.Equal(seen[0], seen[1]))
		}
	}
}

// TestSigner: what a Signer keeps for the next signature, of whatever length, changes none.
func TestSigner(t *testing.T) {
	for _, k := range kinds(t) {
		s, err := digestlist.NewSigner(k.cert, k.key)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := digestlist.SigningHash(k.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for n := range 40 {
			body := []byte{byte(n)}
			h := hash.New()
			h.Write(body)
			got, err := s.Sign(h.Sum(nil))
			want, second := digestlist.SignPKCS7(body, k.cert, k.key)
			if err != nil || second != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s, body %d: %v, %v, the same: %t", k.name, n, err, second, bytes.Equal(got, want))
			}
		}
		if der, err := s.Sign(make([]byte, hash.Size()-1)); err == nil || der != nil {
			t.Errorf("%s: a short digest is signed", k.name)
		}
		if !s.Has(k.cert, k.key) || s.Has(new(x509.Certificate), k.key) {
			t.Errorf("%s: the signer has another certificate", k.name)
		}
	}
}

var signedBody = []byte("the body of a list, with \r\n and \x00 in it\n")

func TestSignPKCS7(t *testing.T) {
	for _, k := range kinds(t) {
		t.Run(k.name, func(t *testing.T) {
			der, err := digestlist.SignPKCS7(signedBody, k.cert, k.key)
			if err != nil {
				t.Fatal(err)
			}
			if cert, err := digestlist.VerifyPKCS7(signedBody, der, []*x509.Certificate{k.cert}); err != nil || cert != k.cert {
				t.Errorf("our own: %v", err)
			}

			dir := t.TempDir()
			body, sig := filepath.Join(dir, "body"), filepath.Join(dir, "sig")
			write(t, body, signedBody)
			write(t, sig, der)
			openssl(t, "cms", "-verify", "-binary", "-inform", "DER", "-in", sig, "-content", body,
				"-CAfile", k.path("cert.pem"), "-purpose", "any", "-partial_chain", "-out", os.DevNull)

			m := unmarshalCMS(t, der)
			info := m.Data.Signers[0]
			if !info.Digest.Algorithm.Equal(k.digest) || !m.Data.Digests[0].Algorithm.Equal(k.digest) {
				t.Errorf("digest %v and %v, want %v", info.Digest.Algorithm, m.Data.Digests[0].Algorithm, k.digest)
			}
			if !info.Signature.Algorithm.Equal(k.algorithm) {
				t.Errorf("signature algorithm %v, want %v", info.Signature.Algorithm, k.algorithm)
			}
			if m.Data.Version != 1 || info.Version != 1 || len(m.Data.Signers) != 1 || !m.Data.Content.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}) {
				t.Errorf("versions %d and %d, %d signers, content %v", m.Data.Version, info.Version, len(m.Data.Signers), m.Data.Content.Type)
			}
			if !bytes.Equal(m.Data.Certificates.Bytes, k.cert.Raw) {
				t.Error("the certificate is not embedded")
			}
		})
	}
}

// The shape of RFC 5652, 5.1, as encoding/asn1 reads it: nothing beyond these
// fields may be there.
type cms struct {
	Type asn1.ObjectIdentifier
	Data struct {
		Version int
		Digests []pkix.AlgorithmIdentifier `asn1:"set"`
		Content struct {
			Type asn1.ObjectIdentifier
		}
		Certificates asn1.RawValue `asn1:"tag:0"`
		Signers      []struct {
			Version int
			ID      struct {
				Issuer asn1.RawValue
				Serial *big.Int
			}
			Digest    pkix.AlgorithmIdentifier
			Signature pkix.AlgorithmIdentifier
			Value     []byte
		} `asn1:"set"`
	} `asn1:"explicit,tag:0"`
}

func unmarshalCMS(t *testing.T, der []byte) (m cms) {
	t.Helper()
	if rest, err := asn1.Unmarshal(der, &m); err != nil || len(rest) != 0 {
		t.Fatalf("%d bytes behind the message, %v", len(rest), err)
	}
	return m
}

// opensslSigned returns what "openssl cms -sign" makes of signedBody.
func opensslSigned(t testing.TB, s signer, args ...string) []byte {
	t.Helper()
	body := s.path("body")
	write(t, body, signedBody)
	return openssl(t, append([]string{"cms", "-sign", "-binary", "-in", body, "-outform", "DER",
		"-signer", s.path("cert.pem"), "-inkey", s.path("key.pem")}, args...)...)
}

func TestVerifyOpenSSL(t *testing.T) {
	for _, k := range kinds(t) {
		for _, md := range []string{"sha256", "sha384", "sha512"} {
			for _, args := range [][]string{nil, {"-nocerts"}, {"-keyid"}, {"-nocerts", "-keyid"}} {
				name := fmt.Sprint(k.name, md, args)
				der := opensslSigned(t, k.signer, append(args, "-noattr", "-md", md)...)
				cert, err := digestlist.VerifyPKCS7(signedBody, der, []*x509.Certificate{k.cert})
				if err != nil || cert != k.cert {
					t.Errorf("%s: %v", name, err)
				}
				if _, err := digestlist.VerifyPKCS7(append(signedBody, 'x'), der, []*x509.Certificate{k.cert}); err == nil {
					t.Errorf("%s: verifies another body", name)
				}
			}
		}
	}
}

// storedPKCS7 returns certificates and messages by them over signedBody.
func storedPKCS7(t testing.TB) (trusted []*x509.Certificate, messages map[string][]byte) {
	t.Helper()
	messages = map[string][]byte{}
	entries, err := os.ReadDir(filepath.Join("testdata", "pkcs7"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join("testdata", "pkcs7", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(e.Name()) == ".p7s" {
			messages[e.Name()] = b
			continue
		}
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			t.Fatal(err)
		}
		trusted = append(trusted, cert)
	}
	return trusted, messages
}

// A signature must verify with every later version.
func TestVerifyStoredPKCS7(t *testing.T) {
	trusted, messages := storedPKCS7(t)
	if len(trusted) != 2 || len(messages) != 6 {
		t.Fatalf("%d certificates, %d messages", len(trusted), len(messages))
	}
	for name, der := range messages {
		cert, err := digestlist.VerifyPKCS7(signedBody, der, trusted)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if rsa := cert.PublicKeyAlgorithm == x509.RSA; rsa != strings.HasPrefix(name, "rsa-") {
			t.Errorf("%s: by %v", name, cert.Subject)
		}
	}
}

func TestVerifyPKCS7Refuses(t *testing.T) {
	s, other := newEC(t, elliptic.P256()), newEC(t, elliptic.P256())
	rsa := newSigner(t, "RSA", rsaKeys[2048]())
	good := opensslSigned(t, s, "-noattr")
	ours, err := digestlist.SignPKCS7(signedBody, s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	// Another key under the same names, as a forger would make it.
	impostor := *s.cert
	impostor.PublicKey = other.cert.PublicKey
	rsaImpostor := *s.cert
	rsaImpostor.PublicKey = rsa.cert.PublicKey
	edKey := *s.cert
	edKey.PublicKey = ed25519.PublicKey(make([]byte, 32))
	ecImpostor := *rsa.cert
	ecImpostor.PublicKey = s.cert.PublicKey

	certs := func(c ...*x509.Certificate) []*x509.Certificate { return c }
	const shape = "not a detached message of one signer without attributes"
	for name, tc := range map[string]struct {
		body    []byte
		der     []byte
		trusted []*x509.Certificate
		text    string
	}{
		"nothing":             {signedBody, nil, certs(s.cert), shape},
		"signed attributes":   {signedBody, opensslSigned(t, s), certs(s.cert), shape},
		"attached content":    {signedBody, opensslSigned(t, s, "-noattr", "-nodetach"), certs(s.cert), shape},
		"two signers":         {signedBody, opensslSigned(t, s, "-noattr", "-signer", other.path("cert.pem"), "-inkey", other.path("key.pem")), certs(s.cert, other.cert), shape},
		"SHA-1":               {signedBody, opensslSigned(t, s, "-noattr", "-md", "sha1"), certs(s.cert), "digest algorithm 1.3.14.3.2.26"},
		"SHA-224":             {signedBody, opensslSigned(t, s, "-noattr", "-md", "sha224"), certs(s.cert), "digest algorithm"},
		"RSASSA-PSS":          {signedBody, opensslSigned(t, rsa, "-noattr", "-keyopt", "rsa_padding_mode:pss"), certs(rsa.cert), shape},
		"other body":          {[]byte("other"), good, certs(s.cert), "does not match"},
		"no body":             {nil, good, certs(s.cert), "does not match"},
		"untrusted":           {signedBody, good, certs(other.cert, rsa.cert), "is not trusted"},
		"nobody trusted":      {signedBody, good, nil, "is not trusted"},
		"untrusted by key ID": {signedBody, opensslSigned(t, s, "-noattr", "-keyid"), certs(rsa.cert), "is not trusted"},
		"key of another":      {signedBody, good, certs(&impostor), "does not match"},
		"RSA key for ECDSA":   {signedBody, good, certs(&rsaImpostor), "it says ECDSA"},
		"ECDSA key for RSA":   {signedBody, opensslSigned(t, rsa, "-noattr"), certs(&ecImpostor), "it says RSA"},
		"Ed25519 key":         {signedBody, good, certs(&edKey), "cannot sign lists"},
		"trailing byte":       {signedBody, append(bytes.Clone(good), 0), certs(s.cert), shape},
		"PEM":                 {signedBody, pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: good}), certs(s.cert), shape},
		"too long":            {signedBody, make([]byte, 64<<10+1), certs(s.cert), "at most 65536"},
		"certificate alone":   {signedBody, s.cert.Raw, certs(s.cert), shape},
	} {
		t.Run(name, func(t *testing.T) {
			cert, err := digestlist.VerifyPKCS7(tc.body, tc.der, tc.trusted)
			if err == nil || cert != nil || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%v, want %q", err, tc.text)
			}
		})
	}
	for n := range ours {
		if _, err := digestlist.VerifyPKCS7(signedBody, ours[:n], certs(s.cert)); err == nil {
			t.Errorf("accepted when cut to %d of %d bytes", n, len(ours))
		}
	}
}

// A damaged message verifies only where it does not matter: in the certificates
// that it carries, which nobody looks at.
func TestVerifyPKCS7BitFlips(t *testing.T) {
	s := newEC(t, elliptic.P256())
	der, err := digestlist.SignPKCS7(signedBody, s.cert, s.key)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(der, s.cert.Raw)
	for i := range der {
		if i >= at && i < at+len(s.cert.Raw) {
			continue
		}
		for bit := range 8 {
			flipped := bytes.Clone(der)
			flipped[i] ^= 1 << bit
			if _, err := digestlist.VerifyPKCS7(signedBody, flipped, []*x509.Certificate{s.cert}); err == nil {
				t.Errorf("accepted with bit %d of byte %d changed: %#x", bit, i, flipped[i])
			}
		}
	}
}

func TestSignPKCS7Refuses(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t, "Ed25519", key)
	if der, err := digestlist.SignPKCS7(signedBody, s.cert, s.key); err == nil || der != nil || !strings.Contains(err.Error(), "only RSA and ECDSA") {
		t.Errorf("%x, %v", der, err)
	}
}

func BenchmarkSignPKCS7(b *testing.B) {
	s := newEC(b, elliptic.P256())
	body := make([]byte, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := digestlist.SignPKCS7(body, s.cert, s.key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPKCS7(b *testing.B) {
	s := newEC(b, elliptic.P256())
	body := make([]byte, 16<<10)
	der, err := digestlist.SignPKCS7(body, s.cert, s.key)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := digestlist.VerifyPKCS7(body, der, []*x509.Certificate{s.cert}); err != nil {
			b.Fatal(err)
		}
	}
}
