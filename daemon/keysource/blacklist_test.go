// SPDX-License-Identifier: Apache-2.0

package keysource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/ledger/state"
)

func testCertificate(t *testing.T, algorithm x509.SignatureAlgorithm) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), SignatureAlgorithm: algorithm, SubjectKeyId: []byte{1, 2, 3, byte(algorithm)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A certificate is named by the digest of its signed part, which older kernels take
// by the hash of its signature and newer ones by SHA-256; or it is there itself.
func TestBlacklistNamesCertificate(t *testing.T) {
	for algorithm, hash := range map[x509.SignatureAlgorithm]crypto.Hash{
		x509.ECDSAWithSHA256: crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384, x509.ECDSAWithSHA512: crypto.SHA512,
	} {
		cert, other := testCertificate(t, algorithm), testCertificate(t, algorithm)
		for _, h := range []crypto.Hash{hash, crypto.SHA256} {
			sum := h.New()
			sum.Write(cert.RawTBSCertificate)
			entry := "tbs:" + hex.EncodeToString(sum.Sum(nil))
			b := state.Blacklisted{Entries: map[string]bool{entry: true}}
			if !b.Names(cert) || b.Names(other) {
				t.Errorf("%v: %s names it: %v, another: %v", algorithm, entry, b.Names(cert), b.Names(other))
			}
		}
		if b := (state.Blacklisted{KeyIDs: map[string]bool{hex.EncodeToString(cert.SubjectKeyId): true}}); !b.Names(cert) {
			t.Errorf("%v: it is in .blacklist, and not named", algorithm)
		}
		if b := (state.Blacklisted{}); b.Names(cert) {
			t.Errorf("%v: nothing names it", algorithm)
		}
	}
}

func TestEntries(t *testing.T) {
	for text, want := range map[string]bool{
		"bin:00": true, "tbs:" + strings.Repeat("ab", 64): true, "bin:" + strings.Repeat("ab", 65): false, "bin:": false, "bin:0": false,
		"bin:AB": false, "BIN:ab": false, "bin:ab\n": false, " bin:ab": false, "sha256:ab": false, "": false,
	} {
		if isEntry(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestReadBlob(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "entry")
	for _, test := range []struct {
		entry, signature string
		want             string
	}{
		{"bin:00ff\n", "signature", ""},
		{"bin:00ff", "signature", ""},
		{"bin:00ff\n\n", "signature", "not bin: or tbs:"},
		{strings.Repeat("x", maxBlob+1), "signature", "more than"},
		{"bin:00ff", strings.Repeat("x", maxBlob+1), "more than"},
	} {
		for name, text := range map[string]string{path: test.entry, path + ".p7s": test.signature} {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		entry, signature, err := readBlob(path)
		switch {
		case test.want == "" && (err != nil || entry != "bin:00ff" || string(signature) != test.signature):
			t.Errorf("%.20q: %q, %v", test.entry, entry, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%.20q: %v", test.entry, err)
		}
	}
	os.Remove(path + ".p7s")
	if err := os.Mkdir(path+".p7s", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readBlob(path); err == nil {
		t.Error("a directory was read")
	}
	if names, err := blobNames(filepath.Join(dir, "absent")); names != nil || err != nil {
		t.Errorf("an absent directory has %v, %v", names, err)
	}
}
