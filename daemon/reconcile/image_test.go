// SPDX-License-Identifier: Apache-2.0

package reconcile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/digestlist"
)

// TestImageLists: the signature of an image's list is taken over and stays, whatever
// happens to the index, as long as nothing speaks against its certificate.
func TestImageLists(t *testing.T) {
	dir := t.TempDir()
	m := daemontest.New(t, func(c *config.Config) { c.ImageLists = dir })
	blacklist := m.Blacklist(t)
	hello := small(t, "hello")
	m.Install(t, hello)
	m.Sync(t)
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	list := filepath.Join(m.Config.Lists, listOf(hello))
	body, _, _, err := digestlist.SplitSignature(read(list))
	if err != nil {
		t.Fatal(err)
	}
	cert, key := daemontest.Certificate(t, 2048)
	sig, err := digestlist.SignPKCS7(body, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	image := digestlist.AppendSignature(nil, body, sig, digestlist.SigPKCS7)
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, listOf(hello)), image)
	taken := func() bool { t.Helper(); return bytes.Equal(read(list), image) }
	// again has the list made anew, as at a first start.
	again := func() {
		t.Helper()
		if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
		m.Sync(t)
	}

	if again(); taken() {
		t.Error("a signature counts that nobody trusts")
	}
	trust := filepath.Join(m.Config.Keys, "builder.der")
	write(trust, cert.Raw)
	if again(); !taken() {
		t.Fatal("the list of the image is not taken over")
	}
	for range 2 {
		if r := m.Sync(t); r.Published != 0 || !taken() {
			t.Errorf("a comparison changes it: %+v", r)
		}
	}
	// A crash leaves lists that the index does not know: they are no stranger's.
	m.Stop()
	if err := os.RemoveAll(m.Config.State); err != nil {
		t.Fatal(err)
	}
	m.Start(t)
	m.Keys.Keyrings = blacklist
	m.Sync(t)
	if events := m.Events(t, "tampered"); !taken() || len(events) > 0 {
		t.Errorf("taken over %v, events %+v", taken(), events)
	}

	blacklist.Add(t, cert.SubjectKeyId)
	if m.Sync(t); taken() {
		t.Error("the kernel refuses its certificate, and it is still used")
	}
	if got := m.Names(t); !slices.Equal(got, []string{listOf(hello)}) {
		t.Errorf("lists are %q", got)
	}
}

// TestImageCertificateIsRevoked: without its certificate, the machine signs the list itself.
func TestImageCertificateIsRevoked(t *testing.T) {
	cert, _ := daemontest.Certificate(t, 2048)
	m := daemontest.New(t, func(c *config.Config) { c.ImageLists = t.TempDir() })
	if err := os.WriteFile(filepath.Join(m.Config.Keys, "builder.pem"), daemontest.PEM(cert), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	certs := func() int { return len(m.Reconciler.ImageCertificates(m.Exec.State)) }
	if certs() != 1 {
		t.Fatal("the certificate does not count")
	}
	if _, err := m.KeyRevoke(t.Context(), daemontest.Root, grounds.CertificateID(cert), "lost"); err != nil {
		t.Fatal(err)
	}
	if certs() != 0 {
		t.Error("the certificate counts, and is revoked")
	}
}
