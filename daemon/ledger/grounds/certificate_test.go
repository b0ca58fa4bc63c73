// SPDX-License-Identifier: Apache-2.0

package grounds

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// signerOf makes a certificate for key: by itself, or by another.
func signerOf(t *testing.T, key crypto.Signer, selfMade bool) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, SubjectKeyId: []byte{1, 2, 3},
		NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
	parent := template
	if !selfMade {
		parent = &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "authority"}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestAdoptCertificate: lists are signed anew where another certificate signs now, and
// where nobody recorded by what digest the kernel knows them.
func TestAdoptCertificate(t *testing.T) {
	plain, wide := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384())
	signed := func(e *view.Entry) { e.Signer = "010203" }
	const mine, known = "lists tlv-mine-0:1-1.noarch active  publish", "lists tlv-known-0:1-1.noarch active  publish"
	for _, test := range []struct {
		name  string
		cert  *x509.Certificate
		value func(cert *x509.Certificate) []byte
		want  []string
	}{
		{"its own, as ever", signerOf(t, plain, true), func(*x509.Certificate) []byte { return nil }, nil},
		{"its own, by a wide digest", signerOf(t, wide, true), func(*x509.Certificate) []byte { return nil }, []string{mine}},
		{"of an authority, new", signerOf(t, plain, false), func(*x509.Certificate) []byte { return nil }, []string{"meta certificate", known, mine, "keys 010203"}},
		{"of an authority, as before", signerOf(t, plain, false), sumOf, nil},
		{"its own, after another", signerOf(t, plain, true), func(*x509.Certificate) []byte { return []byte("another") }, []string{"meta certificate", known, mine, "keys 010203"}},
	} {
		s := with(state.Settings{}, listOf("mine", "1-1", signed), listOf("known", "1-1", signed, func(e *view.Entry) { e.Wide = "ab" }),
			listOf("other", "1-1", func(e *view.Entry) { e.Signer = "ff" }), listOf("gone", "1-1", signed, withheld),
			listOf("leaving", "1-1", signed, func(e *view.Entry) { e.Change = record.Removing }))
		s.SetKey(record.Key{Fingerprint: "010203", Use: view.UseLists, Owner: "former"})
		s.Queue = state.Records{}
		wants(t, event(t, s, func() { s.AdoptCertificate(test.value(test.cert), test.cert) }), test.want...)
		if s.Anew != (len(test.want) > 0) {
			t.Errorf("%s: anew is %v", test.name, s.Anew)
		}
		owner := "former"
		if len(test.want) > 1 {
			owner = "signer"
		}
		if k := s.Keys["010203"]; k.Owner != owner {
			t.Errorf("%s: the key is %+v", test.name, k)
		}
	}
}

func sumOf(cert *x509.Certificate) []byte {
	sum := sha256.Sum256(cert.Raw)
	return sum[:]
}

// TestMeetSigner: a certificate of this machine is recorded once, with what key it has.
func TestMeetSigner(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range map[string]crypto.Signer{"nistp384": ecKey(t, elliptic.P384()), "rsa2048": rsaKey, "Ed25519": edKey} {
		cert := signerOf(t, key, true)
		s := with(state.Settings{})
		wants(t, event(t, s, func() { s.MeetSigner(cert, "signing.pem") }), "keys 010203")
		if k := s.Keys["010203"]; k.Algorithm != algorithm || k.Use != view.UseLists || k.Owner != "signer" || k.Source != "signing.pem" || !k.FirstSeen.Equal(noon) || !k.Expires.Equal(cert.NotAfter) {
			t.Errorf("recorded is %+v", k)
		}
		wants(t, event(t, s, func() { s.MeetSigner(cert, "another.pem") }))
	}
}

// TestMeetImporter: a certificate by which a list was imported is recorded once, and again
// when it comes back.
func TestMeetImporter(t *testing.T) {
	cert := signerOf(t, ecKey(t, elliptic.P256()), true)
	sum := sha256.Sum256(cert.Raw)
	id := hex.EncodeToString(sum[:])
	s := with(state.Settings{})
	meet := func() { s.MeetImporter(cert) }
	wants(t, event(t, s, meet), "keys "+id)
	wants(t, event(t, s, meet))
	k := s.Keys[id]
	if k.Use != view.UseImport || k.Owner != "CN=signer" || k.Algorithm != "nistp256" {
		t.Errorf("recorded is %+v", k)
	}
	k.Gone = noon
	s.SetKey(k)
	wants(t, event(t, s, meet), "keys "+id)
	if !s.Keys[id].Gone.IsZero() {
		t.Error("it is gone")
	}
}

// TestFormerID: without a subject key identifier, what RFC 5280 makes of the key.
func TestFormerID(t *testing.T) {
	cert := signerOf(t, ecKey(t, elliptic.P256()), true)
	if got := formerID(cert); got != "010203" {
		t.Errorf("got %s", got)
	}
	cert.SubjectKeyId = nil
	if got := formerID(cert); len(got) != 40 || got == "010203" {
		t.Errorf("got %s", got)
	}
}

// TestRenameImportedLists: the entry of a list goes by the new name as well.
func TestRenameImportedLists(t *testing.T) {
	by := func(e *view.Entry) { e.Own, e.Key = "app", "old" }
	s := with(state.Settings{}, listOf("app", "1-1", by), listOf("vim", "1-1", signedBy("old")))
	s.SetOwn(record.Own{Name: "app", List: "tlv-app-0:1-1.noarch", Key: "old", KeyKind: view.KeyX509})
	s.Queue = state.Records{}
	wants(t, event(t, s, func() { s.renameImported("old", "new") }), "lists tlv-app-0:1-1.noarch active", "own app")
	if k := s.ByName["tlv-app-0:1-1.noarch"].Key; k != "new" {
		t.Errorf("its key is %s", k)
	}
	if k := s.ByName["tlv-vim-0:1-1.noarch"].Key; k != "old" {
		t.Errorf("the key of a package's list is %s", k)
	}
}

// TestTellOfFormat: the format that a kernel reads by a module is a warning where lists
// are enforced.
func TestTellOfFormat(t *testing.T) {
	for _, test := range []struct {
		format   string
		enforced bool
		severity string
	}{
		{digestlist.FormatTLV, true, ""}, {digestlist.FormatRPM, false, api.SeverityNotice}, {digestlist.FormatRPM, true, api.SeverityWarning},
	} {
		s := with(state.Settings{})
		s.TellOfFormat(test.format, func() bool { return test.enforced })
		text := `format = "rpm"`
		if test.severity == "" {
			text = ""
		}
		says(t, s, "format", test.severity, text)
	}
}
