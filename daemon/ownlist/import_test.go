// SPDX-License-Identifier: Apache-2.0

package ownlist_test

import (
	"crypto"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
	"github.com/digestd/digestd/integration/bench/gendb"
)

// trust puts a certificate where the owner keeps those that are trusted.
func trust(t *testing.T, m *daemontest.Machine, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.Config.Keys, file), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Keys.Refresh(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// sign appends a signature over a body by a certificate's key.
func sign(t *testing.T, body []byte, cert *x509.Certificate, key crypto.Signer) []byte {
	t.Helper()
	sig, err := digestlist.SignPKCS7(body, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return digestlist.AppendSignature(nil, body, sig, digestlist.SigPKCS7)
}

// A list that another signed is signed anew here, and stands as long as that key does.
func TestImport(t *testing.T) {
	m := daemontest.New(t)
	cert, key := daemontest.Certificate(t, 2048)
	data := sign(t, app(t, "one"), cert, key)
	if _, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, data); daemontest.Code(err) != api.InvalidArgument || !strings.Contains(err.Error(), "not trusted") {
		t.Fatalf("by a stranger: %v", err)
	}
	trust(t, m, "builder.crt", daemontest.PEM(cert))
	if r, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, data); err != nil || r.Version != 1 || r.Files != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := signedBody(t, m, list); string(got) != string(app(t, "one")) {
		t.Error("the directory has another list")
	}
	id := grounds.CertificateID(cert)
	if o := own(t, m, "app"); o.Key != id {
		t.Errorf("it was signed by %q, want %q", o.Key, id)
	}
	if got := bodies(t, m); !slices.Equal(got, []string{"app.1.imported"}) {
		t.Errorf("the bodies kept are %v", got)
	}
	if r, err := publish(t, m, api.OwnRequest{Name: "app", Base: 1, Import: true}, data); err != nil || !r.Unchanged {
		t.Errorf("again: %+v, %v", r, err)
	}
	if k, err := m.KeyRevoke(t.Context(), daemontest.Root, id, "stolen"); err != nil || k.Use != api.UseImport || k.State != api.KeyRevoked {
		t.Fatalf("%+v, %v", k, err)
	}
	if o, names := own(t, m, "app"), m.Names(t); o.State != api.StateWithheld || len(names) > 0 {
		t.Errorf("with the key revoked it is %s, and the directory has %v", o.State, names)
	}
	if _, err := publish(t, m, api.OwnRequest{Name: "other", Import: true}, sign(t, app(t, "two"), cert, key)); daemontest.Code(err) != api.InvalidArgument {
		t.Errorf("by a key that is revoked: %v", err)
	}
}

// A file that is no list, or not signed by a trusted key, is refused with the reason.
func TestImportRefuses(t *testing.T) {
	m := daemontest.New(t)
	good, key := daemontest.Certificate(t, 2048)
	trust(t, m, "good.crt", daemontest.PEM(good))
	trust(t, m, "garbage.crt", []byte("no certificate"))
	by := func(bits int, change func(*x509.Certificate)) []byte {
		cert, key := daemontest.Certificate(t, bits, change)
		trust(t, m, cert.SerialNumber.String()+".pem", daemontest.PEM(cert))
		return sign(t, app(t, "one"), cert, key)
	}
	intact := sign(t, app(t, "one"), good, key)
	altered := slices.Clone(intact)
	altered[len(app(t, "one"))-1] ^= 1
	sig, err := daemontest.Key(t, "stranger").Sign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"no signature":            {app(t, "one"), "it is not signed"},
		"a malformed signature":   {append(slices.Clone(intact[:len(intact)-30]), intact[len(intact)-28:]...), "cannot"},
		"altered content":         {altered, "cannot verify"},
		"a short key":             {by(1024, func(*x509.Certificate) {}), "has 1024 bits"},
		"a key for other things":  {by(2048, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), "is not for signatures"},
		"an expired certificate":  {by(2048, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired on"},
		"a certificate of later":  {by(2048, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "is not valid before"},
		"OpenPGP over a list":     {digestlist.AppendSignature(nil, app(t, "one"), sig, digestlist.SigPGP), "covers a package header, which this list does not have"},
		"a kind that nobody does": {digestlist.AppendSignature(nil, app(t, "one"), sig, 77), "77"},
	} {
		_, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, test.data)
		if daemontest.Code(err) != api.InvalidArgument || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %s", name, err, test.says)
		}
	}
	if names, kept := m.Names(t), bodies(t, m); len(names) > 0 || len(kept) > 0 {
		t.Errorf("left are %v and %v", names, kept)
	}
	if _, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, intact); err != nil {
		t.Errorf("the intact one: %v", err)
	}
}

// The list of a package, signed as packages are, is imported by the key of its vendor.
func TestImportOfAPackage(t *testing.T) {
	m := daemontest.New(t)
	p := daemontest.Package(t, "hello", "vendor", map[string]string{"/opt/app": "one"})
	made, err := gendb.Make(p)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(region, signature []byte) []byte {
		return digestlist.AppendSignature(nil, append([]byte(header.Magic), region...), signature, digestlist.SigPGP)
	}
	if _, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, signed(made.Region, made.Signature)); daemontest.Code(err) != api.InvalidArgument {
		t.Fatalf("by a stranger: %v", err)
	}
	trust(t, m, "vendor.asc", p.Key.Armor)
	altered := slices.Clone(made.Region)
	altered[len(altered)-20] ^= 1
	if _, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, signed(altered, made.Signature)); daemontest.Code(err) != api.InvalidArgument {
		t.Errorf("an altered header: %v", err)
	}
	r, err := publish(t, m, api.OwnRequest{Name: "app", Import: true}, signed(made.Region, made.Signature))
	if err != nil || r.Files != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := signedBody(t, m, list); string(got) != string(app(t, "one")) {
		t.Error("the directory has another list than the package has files")
	}
	if o := own(t, m, "app"); o.Key != p.Key.Fingerprint() {
		t.Errorf("it was signed by %q", o.Key)
	}
}
