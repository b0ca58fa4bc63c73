// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestd/digestd/rpmdb"
	"github.com/digestd/digestd/rpmdb/pgp"
)

// trusted reads rpm's keyring as the daemon does.
func (m *machine) trusted() []*pgp.Cert {
	m.Helper()
	db, err := rpmdb.Open(m.database())
	m.OK(err)
	certs, bad, err := rpmdb.Certs(m.Context(), db)
	if err != nil || len(bad) > 0 {
		m.Fatalf("keyring cannot be read: %v %v", err, bad)
	}
	return certs
}

// deleteKey removes the vendor's key from rpm's keyring, as each rpm and keyring
// wants it done.
func (m *machine) deleteKey(fingerprint string) {
	m.Helper()
	short := fingerprint[len(fingerprint)-8:]
	switch {
	case m.rpm == "6.1":
		m.mustRPM("rpmkeys", "--delete", fingerprint)
	case m.keyring == "fs": // neither 4.18 nor 4.20 finds a key of it to delete
		files, err := filepath.Glob(filepath.Join(m.pubkeys(), "gpg-pubkey-"+short+"-*.key"))
		if err != nil || len(files) != 1 {
			m.Fatalf("keys are %v (%v)", files, err)
		}
		m.OK(os.Remove(files[0]))
	case m.deletes:
		m.mustRPM("rpmkeys", "--delete", short)
	default:
		m.mustRPM("rpm", "-e", "--allmatches", "gpg-pubkey-"+short)
	}
}

func TestKeyDeletedFromRPM(t *testing.T) {
	everywhere(t, func(m *machine) {
		o := theVendor(m.TB)
		m.Start()
		m.mustRPM("rpmkeys", "--import", o.cert)
		if certs := m.trusted(); len(certs) != 1 || certs[0].Fingerprint != o.fingerprint || certs[0].Revoked != nil || certs[0].Weak != "" {
			m.Fatalf("after the import rpm trusts %+v", certs)
		}
		m.mustRPM("rpm", "-U", o.packages[0])
		m.wantLists("installation", "hello")

		m.deleteKey(o.fingerprint)
		if certs := m.trusted(); len(certs) != 0 {
			m.Fatalf("after the deletion rpm trusts %+v", certs[0])
		}
		m.wantLists("deletion")
		if said := m.Must("keys", "show", o.fingerprint); !strings.Contains(said, "rpm's keyring") {
			m.Errorf("digestctl says of the key:\n%s", said)
		}

		m.mustRPM("rpmkeys", "--import", o.cert)
		m.Must("sync")
		m.wantLists("second import")
		m.wantRefusal(o)

		m.Must("keys", "restore", o.fingerprint, "--reason", "test")
		m.wantLists("restoration", "hello")
		m.mustRPM("rpm", "-U", o.packages[1])
		m.wantLists("installation", "hello", "later")
	})
}

// wantRefusal sees that rpm installs nothing by a revoked key, and says why and
// what to do.
func (m *machine) wantRefusal(o owner) {
	m.Helper()
	said, err := m.tool("rpm", "-U", o.packages[1])
	if err == nil || !strings.Contains(said, o.fingerprint) || !strings.Contains(said, "digestctl keys restore") {
		m.Errorf("rpm -U of a package by a revoked key: %v\n%s", err, said)
	}
	if _, err := os.Stat(m.In("root", "opt", "later")); err == nil {
		m.Error("rpm installed it")
	}
}

// TestRevokedCertificateImported imports what the owner revoked over what rpm
// has. That rpm up to 4.20 keeps the old copy is rpm's; the daemon must be told
// another way then.
func TestRevokedCertificateImported(t *testing.T) {
	everywhere(t, func(m *machine) {
		o := theVendor(m.TB)
		m.mustRPM("rpmkeys", "--import", o.cert)
		m.Start()
		m.mustRPM("rpm", "-U", o.packages[0])
		m.wantLists("installation", "hello")

		said, err := m.tool("rpmkeys", "--import", o.revoked)
		if err != nil {
			m.Fatalf("import: %v\n%s", err, said)
		}
		if warns := strings.Contains(said, "revoked"); warns != (m.rpm != "4.18") {
			m.Errorf("rpm %s says %q", m.rpm, said)
		}
		merges := m.rpm == "6.1"
		if certs := m.trusted(); len(certs) != 1 || (certs[0].Revoked != nil) != merges {
			m.Fatalf("rpm %s has %+v, merged: want %v", m.rpm, certs, merges)
		}
		if !merges {
			m.Must("sync")
			m.wantLists("import that rpm ignored", "hello")
			m.copyTo("keys.d", o.revoked)
		}
		m.wantLists("revoked certificate")
		if said, _, _ := m.Ctl("keys", "show", o.fingerprint); !strings.Contains(said, "the certificate itself") {
			m.Errorf("digestctl says of the key:\n%s", said)
		}
		if said, err := m.tool("rpm", "-U", o.packages[1]); err == nil || !strings.Contains(said, o.fingerprint) {
			m.Errorf("rpm -U of a package by the revoked key: %v\n%s", err, said)
		}
	})
}

// TestRevokedCertificateInDirectory says it by the directory of revocations.
func TestRevokedCertificateInDirectory(t *testing.T) {
	m := newMachine(t, &host, "rpmdb")
	o := theVendor(t)
	m.mustRPM("rpmkeys", "--import", o.cert)
	m.Start()
	m.mustRPM("rpm", "-U", o.packages[0])
	m.wantLists("installation", "hello")
	m.copyTo("revoked.d", o.revoked)
	m.wantLists("revoked certificate")
	m.wantRefusal(o)
}

// TestCertificateReplacedInPlace overwrites a certificate with its revoked copy:
// the directory itself does not change.
func TestCertificateReplacedInPlace(t *testing.T) {
	m := newMachine(t, &host, "rpmdb")
	o := theVendor(t)
	m.copyTo("keys.d", o.cert)
	m.Start()
	m.mustRPM("rpm", "-U", o.packages[0])
	m.wantLists("installation", "hello")
	data, err := os.ReadFile(o.revoked)
	m.OK(err)
	m.trustFile(filepath.Base(o.cert), data)
	m.wantLists("revoked certificate")
}

func (m *machine) copyTo(dir, file string) {
	m.Helper()
	m.OK(copyFile(file, m.In(dir)))
}
