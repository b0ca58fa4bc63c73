// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

func newImporter(t *testing.T, name string, ski []byte) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, SubjectKeyId: ski,
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
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

// TestImportersAreRenamed: records of an older digestd go on under today's names, where it
// is certain whose they are.
func TestImportersAreRenamed(t *testing.T) {
	ski := []byte("an identifier")
	former := hex.EncodeToString(ski)
	one, two := newImporter(t, "one", ski), newImporter(t, "two", ski)
	for _, test := range []struct {
		name    string
		trusted []*x509.Certificate
		use     string
		revoked bool
		key     string // of the own list, in the end
	}{
		{"one", []*x509.Certificate{one}, view.UseImport, false, CertificateID(one)},
		{"one, twice in the directory", []*x509.Certificate{one, one}, view.UseImport, false, CertificateID(one)},
		{"one, revoked", []*x509.Certificate{one}, view.UseImport, true, CertificateID(one)},
		{"two of the name", []*x509.Certificate{one, two}, view.UseImport, false, former},
		{"two of the name, revoked", []*x509.Certificate{one, two}, view.UseImport, true, former},
		{"none", nil, view.UseImport, false, former},
		{"a key of packages of that name", []*x509.Certificate{one}, "", true, former},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := record.Key{Fingerprint: former, Use: test.use, FirstSeen: time.Now()}
			if test.revoked {
				k.Revoked = &record.KeyRevocation{Hard: true, Source: SourceAdministrator}
			}
			s := with(state.Settings{})
			s.Keys[former] = k
			s.Own["app"] = record.Own{Name: "app", Key: former, KeyKind: view.KeyX509}
			s.Own["other"] = record.Own{Name: "other", Key: former, KeyKind: view.KeyPGP}
			for range 2 { // the second time changes nothing
				s.RenameImporters(test.trusted)
				if got := s.Own["app"].Key; got != test.key {
					t.Errorf("the list is signed by %s, want %s", got, test.key)
				}
				if got := s.Own["other"].Key; got != former {
					t.Errorf("a list by an OpenPGP key is signed by %s", got)
				}
				for _, cert := range test.trusted {
					if revoked := s.Keys[CertificateID(cert)].Revoked != nil; revoked != (test.revoked && test.use == view.UseImport) {
						t.Errorf("%s: revoked is %v", cert.Subject, revoked)
					}
				}
			}
		})
	}
}
