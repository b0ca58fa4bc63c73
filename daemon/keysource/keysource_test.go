// SPDX-License-Identifier: Apache-2.0

package keysource_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/ledger/state"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/integration/bench/gendb"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
)

func signed(c *config.Config) { c.Unsigned = "withhold" }

func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// vouched is a machine that has a package with its list, which a key in keys.d vouches for.
func vouched(t *testing.T) (*daemontest.Machine, gendb.Small) {
	t.Helper()
	m := daemontest.New(t, signed)
	hello := daemontest.Package(t, "hello", "vendor", map[string]string{"/usr/bin/hello": "one"})
	m.Install(t, hello)
	write(t, m.Config.Keys, "vendor.asc", hello.Key.Armor)
	m.Sync(t)
	if got := m.Names(t); !slices.Equal(got, []string{"tlv-hello-0:1-1.noarch"}) {
		t.Fatalf("the lists are %v", got)
	}
	return m, hello
}

func refresh(t *testing.T, m *daemontest.Machine, always bool) {
	t.Helper()
	if err := m.Keys.Refresh(t.Context(), always); err != nil {
		t.Fatal(err)
	}
}

// TestKeyGoes: the lists for which a key vouches leave with it, before that is answered.
func TestKeyGoes(t *testing.T) {
	m, hello := vouched(t)
	if err := os.Remove(filepath.Join(m.Config.Keys, "vendor.asc")); err != nil {
		t.Fatal(err)
	}
	refresh(t, m, true)
	if got := m.Names(t); len(got) > 0 {
		t.Errorf("the lists are %v", got)
	}
	if e := m.Snapshot().List("tlv-hello-0:1-1.noarch"); e == nil || e.State != record.Withheld {
		t.Errorf("its entry is %+v", e)
	}
	write(t, m.Config.Keys, "vendor.asc", hello.Key.Armor)
	m.Sync(t)
	if got := m.Names(t); len(got) != 1 {
		t.Errorf("the key is back, and the lists are %v", got)
	}
}

// TestStoresAreReadOnce: stores of keys that have not changed are not read again, unless
// somebody wants that.
func TestStoresAreReadOnce(t *testing.T) {
	m, hello := vouched(t)
	refresh(t, m, false)
	// Only who reads the file sees what changed in it.
	file := filepath.Join(m.Config.Keys, "vendor.asc")
	if err := os.WriteFile(file, daemontest.Key(t, "another").Armor, 0o644); err != nil {
		t.Fatal(err)
	}
	refresh(t, m, false)
	if got := m.Names(t); len(got) != 1 {
		t.Errorf("it was read again: the lists are %v", got)
	}
	refresh(t, m, true)
	if got := m.Names(t); len(got) != 0 {
		t.Errorf("it was not read again: the lists are %v", got)
	}
	// A change of rpm's keyring is one.
	m.Import(t, hello.Key)
	refresh(t, m, false)
	if _, known := m.Snapshot().Keys[hello.Key.Fingerprint()]; !known {
		t.Error("the key in rpm's keyring is not known")
	}
}

// TestUnreadableDatabase: where rpm's keyring cannot be read, nothing is judged by what is
// left of the keys.
func TestUnreadableDatabase(t *testing.T) {
	m, _ := vouched(t)
	database := m.Path(m.Config.DBPath + "/rpmdb.sqlite")
	if err := errors.Join(os.Remove(filepath.Join(m.Config.Keys, "vendor.asc")), os.Rename(database, database+".away"), os.WriteFile(database, []byte("nonsense"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := m.Keys.Refresh(t.Context(), true); err == nil || !strings.Contains(err.Error(), "cannot read keyring") {
		t.Errorf("the keyring was read: %v", err)
	}
	if got := m.Names(t); len(got) != 1 {
		t.Errorf("the lists are %v", got)
	}
}

// TestRevokedByFile: a key in the directory of revocations is revoked, its lists go, and the
// file that says so is named.
func TestRevokedByFile(t *testing.T) {
	vendor := daemontest.Key(t, "vendor")
	for name, content := range map[string][]byte{
		"fingerprint": []byte(vendor.Fingerprint() + "\n"),
		"certificate": vendor.Armor,
	} {
		m, _ := vouched(t)
		write(t, m.Config.Revoked, "stolen", content)
		write(t, m.Config.Revoked, "broken", []byte("nonsense\n"))
		refresh(t, m, true)
		k := m.Snapshot().Keys[vendor.Fingerprint()]
		if len(m.Names(t)) > 0 || k.Revoked == nil {
			t.Errorf("%s: the lists are %v, the key is %+v", name, m.Names(t), k)
		}
		if !slices.ContainsFunc(m.Snapshot().Problems, func(p api.Problem) bool {
			return strings.Contains(p.Text, "cannot read revocations in "+filepath.Join(m.Config.Revoked, "broken"))
		}) {
			t.Errorf("%s: the broken file is not named: %+v", name, m.Snapshot().Problems)
		}
	}
}

// crl is a list by which a certificate of this machine revokes itself.
func crl(t *testing.T, m *daemontest.Machine) []byte {
	t.Helper()
	id := m.Builder.Load().Identity
	issuer := *id.Cert
	issuer.KeyUsage |= x509.KeyUsageCRLSign
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: id.Cert.SerialNumber, RevocationTime: time.Now()}},
	}, &issuer, crypto.Signer(id.Key))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestRevokedSigner: a certificate that signs lists and is revoked, by its own word or by
// the kernel, is followed by another, and so are its lists.
func TestRevokedSigner(t *testing.T) {
	for name, revoke := range map[string]func(t *testing.T, m *daemontest.Machine){
		"DER": func(t *testing.T, m *daemontest.Machine) { write(t, m.Config.Revoked, "list.crl", crl(t, m)) },
		"PEM": func(t *testing.T, m *daemontest.Machine) {
			write(t, m.Config.Revoked, "list.crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl(t, m)}))
		},
		"fingerprint": func(t *testing.T, m *daemontest.Machine) {
			write(t, m.Config.Revoked, "signer", []byte(m.Builder.Load().Identity.SKI()+"\n"))
		},
		"kernel": func(t *testing.T, m *daemontest.Machine) {
			needs.Root(t)
			m.Blacklist(t).Add(t, m.Builder.Load().Identity.Cert.SubjectKeyId)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := vouched(t)
			before := m.Builder.Load().Identity.SKI()
			revoke(t, m)
			refresh(t, m, true)
			if after := m.Builder.Load().Identity.SKI(); after == before || m.Snapshot().Keys[before].Revoked == nil || m.Snapshot().Keys[after].Revoked != nil {
				t.Errorf("lists are signed by %s, and were by %s; problems: %+v", after, before, m.Snapshot().Problems)
			}
			m.Sync(t)
			if e := m.Snapshot().List("tlv-hello-0:1-1.noarch"); e == nil || !e.Active() || e.Signer == before {
				t.Errorf("its list is %+v", e)
			}
		})
	}
}

// TestForeignCRL: a list of revocations that no certificate of this machine signed revokes
// nothing.
func TestForeignCRL(t *testing.T) {
	m, _ := vouched(t)
	other := daemontest.New(t)
	write(t, m.Config.Revoked, "list.crl", crl(t, other))
	forged := crl(t, m)
	forged[len(forged)-1] ^= 1
	write(t, m.Config.Revoked, "forged.crl", forged)
	before := m.Builder.Load().Identity.SKI()
	refresh(t, m, true)
	if m.Builder.Load().Identity.SKI() != before || len(m.Names(t)) != 1 {
		t.Errorf("the lists are %v", m.Names(t))
	}
	revoked, errs := keysource.ReadRevoked(m.Config.Revoked, m.Snapshot().Certificates)
	if len(revoked) > 0 || len(errs) != 2 {
		t.Errorf("%v, %v", revoked, errs)
	}
}

// TestReadBlacklist: where the kernel has no .blacklist, nothing is known; else what it
// has.
func TestReadBlacklist(t *testing.T) {
	needs.Root(t)
	m := daemontest.New(t)
	ring := m.Blacklist(t)
	ring.Hidden.Store(true)
	if b, err := m.Keys.ReadBlacklist(); err != nil || b.Known || len(b.KeyIDs) > 0 {
		t.Errorf("without: %+v, %v", b, err)
	}
	ring.Hidden.Store(false)
	id := []byte{1, 2, 3, 4}
	ring.Add(t, id)
	if b, err := m.Keys.ReadBlacklist(); err != nil || !b.Known || !b.KeyIDs[hex.EncodeToString(id)] || len(b.KeyIDs) != 1 || len(b.Entries) > 0 {
		t.Errorf("with: %+v, %v", b, err)
	}
}

// TestEntriesForTheKernel: status tells what the kernel cannot be given, and names a file,
// until nothing is left that it should be given.
func TestEntriesForTheKernel(t *testing.T) {
	needs.Root(t)
	m := daemontest.New(t)
	ring := m.Blacklist(t)
	entry := "bin:" + strings.Repeat("ab", 32)
	write(t, m.Config.Blacklist, "good", []byte(entry+"\n"))
	write(t, m.Config.Blacklist, "good.p7s", []byte{0x30, 0})
	write(t, m.Config.Blacklist, "unsigned", []byte(entry+"\n"))
	write(t, m.Config.Blacklist, "signer", []byte(state.TbsEntries(m.Builder.Load().Identity.Cert)[0]))
	write(t, m.Config.Blacklist, "signer.p7s", []byte{0x30, 0})
	told := func() (text string) {
		for _, p := range m.Snapshot().Problems {
			text += p.Text + "\n"
		}
		return text
	}
	refresh(t, m, true)
	for _, want := range []string{"3 files", filepath.Join(m.Config.Blacklist, "good")} {
		if !strings.Contains(told(), want) {
			t.Errorf("status does not name %q: %s", want, told())
		}
	}
	ring.Hidden.Store(true)
	refresh(t, m, true)
	if !strings.Contains(told(), ".blacklist") {
		t.Errorf("status does not say that there is no .blacklist: %s", told())
	}
	for _, f := range []string{"good", "good.p7s", "unsigned", "signer", "signer.p7s"} {
		if err := os.Remove(filepath.Join(m.Config.Blacklist, f)); err != nil {
			t.Fatal(err)
		}
	}
	refresh(t, m, true)
	if told() != "" {
		t.Errorf("nothing is to be given, and status says %s", told())
	}
}

// TestReadRevoked: each file of the directory is read by itself, and nothing in it holds up
// or exhausts the daemon.
func TestReadRevoked(t *testing.T) {
	if revoked, errs := keysource.ReadRevoked(filepath.Join(t.TempDir(), "absent"), nil); revoked != nil || errs != nil {
		t.Errorf("an absent directory has %v, %v", revoked, errs)
	}
	dir, print := t.TempDir(), strings.Repeat("0a", 20)
	write(t, dir, ".hidden", []byte("nonsense\n"))
	write(t, dir, "good", []byte(print))
	write(t, dir, "large", bytes.Repeat([]byte("#\n"), 1<<20))
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "directory"), 0o755), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Symlink("nowhere", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	revoked, errs := keysource.ReadRevoked(dir, nil)
	if len(revoked) != 1 || revoked[0].Fingerprint != print || revoked[0].File != filepath.Join(dir, "good") {
		t.Errorf("revoked are %v", revoked)
	}
	text := errors.Join(errs...).Error()
	if len(errs) != 3 || !strings.Contains(text, "large: more than") || !strings.Contains(text, "pipe: not a regular file") || !strings.Contains(text, "link: ") {
		t.Errorf("errors: %v", errs)
	}
	if _, errs := keysource.ReadRevoked(filepath.Join(dir, "good"), nil); len(errs) != 1 {
		t.Errorf("a file in the place of the directory: %v", errs)
	}
	many := t.TempDir()
	for i := range 1001 {
		write(t, many, strconv.Itoa(i), []byte(print))
	}
	if revoked, errs := keysource.ReadRevoked(many, nil); len(revoked) != 1000 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "more than 1000 files") {
		t.Errorf("%d of 1001 are read, %v", len(revoked), errs)
	}
}

// TestCertificatesIn: which files have certificates, in both forms; each that cannot be
// read is named.
func TestCertificatesIn(t *testing.T) {
	if certs, errs := keysource.CertificatesIn(filepath.Join(t.TempDir(), "absent")); certs != nil || errs != nil {
		t.Errorf("an absent directory has %v, %v", certs, errs)
	}
	m := daemontest.New(t)
	cert := m.Builder.Load().Identity.Cert
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: cert.RawSubjectPublicKeyInfo})
	dir := t.TempDir()
	write(t, dir, "a.crt", cert.Raw)
	write(t, dir, "b.pem", slices.Concat(block, key, block))
	write(t, dir, "c.asc", block)
	write(t, dir, "d.der", []byte("nonsense"))
	write(t, dir, "e.cer", make([]byte, view.MaxCertificate+1))
	if err := errors.Join(unix.Mkfifo(filepath.Join(dir, "f.pem"), 0o600), os.Mkdir(filepath.Join(dir, "g.pem"), 0o755)); err != nil {
		t.Fatal(err)
	}
	certs, errs := keysource.CertificatesIn(dir)
	if len(certs) != 3 || slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return !c.Equal(cert) }) {
		t.Errorf("certificates: %d", len(certs))
	}
	text := errors.Join(errs...).Error()
	if len(errs) != 3 || !strings.Contains(text, "d.der") || !strings.Contains(text, "e.cer: larger than") || !strings.Contains(text, "f.pem: not a regular file") {
		t.Errorf("errors: %v", errs)
	}
}
