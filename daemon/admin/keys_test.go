// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/integration/keyringtest"
	"github.com/digestd/digestd/integration/needs"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// Lists that a key vouches for are gone when its revocation is answered, and those of other
// keys stay; they come back with the key.
func TestKeyRevoke(t *testing.T) {
	m := machine(t)
	var told daemontest.Heard
	if err := m.Observe(t.Context(), &told); err != nil {
		t.Fatal(err)
	}
	id := fingerprint(t, "vendor")
	k, err := m.KeyRevoke(t.Context(), by, id[len(id)-16:], "stolen")
	if err != nil || k.Fingerprint != id || k.State != api.KeyRevoked || k.RevokedReason != "stolen" || k.RevokedUID != by.UID || k.RevokedBy != grounds.SourceAdministrator || k.Lists != 0 || k.Withheld != 1 {
		t.Fatalf("%+v, %v", k, err)
	}
	if !slices.Contains(told, "revoked "+id) || !slices.Contains(told, "withdrawn "+helloList) {
		t.Errorf("told are %v", told)
	}
	for _, when := range []string{"at once", "after a restart", "after a comparison"} {
		wantLists(t, m, "with the key revoked, "+when+",", otherList)
		m.Stop()
		m.Start(t)
		if when == "after a restart" {
			m.Sync(t)
		}
	}
	_, err = m.KeyRevoke(t.Context(), by, id, "again")
	wantCode(t, "revoked twice", err, api.Unchanged, "revoked already")
	k, err = m.KeyRestore(t.Context(), by, id, "found again")
	if err != nil || k.State != api.KeyTrusted || k.Fingerprint != id {
		t.Errorf("restored is %+v, %v", k, err)
	}
	m.Sync(t)
	wantLists(t, m, "with the key restored", helloList, otherList)
	if got, want := log(t, m, "key-revoked", "key-restored"), []string{"key-revoked " + id + " stolen 7", "key-restored " + id + " found again 7"}; !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// A revocation is carried out though rpm's keyring cannot be read.
func TestKeyRevokeWithoutAKeyring(t *testing.T) {
	m := machine(t)
	open := m.Database
	m.Database = func() (host.Database, error) { return nil, errors.New("the database is locked") }
	if k, err := m.KeyRevoke(t.Context(), by, fingerprint(t, "vendor"), "stolen"); err != nil || k.State != api.KeyRevoked {
		t.Errorf("%+v, %v", k, err)
	}
	wantLists(t, m, "with the keyring out of reach", otherList)
	m.Database = open
	m.Sync(t)
	wantLists(t, m, "with the keyring in reach", otherList)
}

// A key can be revoked before it is ever seen, by its whole fingerprint.
func TestKeyRevokeBeforeItComes(t *testing.T) {
	m := machine(t)
	id := fingerprint(t, "third")
	_, err := m.KeyRevoke(t.Context(), by, id[len(id)-16:], "")
	wantCode(t, "the end of one that is not known", err, api.NotFound, "no key")
	if _, err := m.KeyRevoke(t.Context(), by, strings.ToUpper(id), "not here"); err != nil {
		t.Fatal(err)
	}
	p := daemontest.Package(t, "third", "third", map[string]string{"/usr/bin/third": "x"})
	m.Import(t, p.Key)
	m.Install(t, p)
	m.Sync(t)
	wantLists(t, m, "with a package by it", helloList, otherList)
	for _, text := range []string{"", "zz", "no key at all"} {
		_, err := m.KeyRevoke(t.Context(), by, text, "")
		wantCode(t, text, err, api.NotFound, "")
	}
	_, err = m.KeyRevoke(t.Context(), by, fingerprint(t, "vendor"), strings.Repeat("r", 1<<20))
	wantCode(t, "too long a reason", err, api.InvalidArgument, "reason")
}

// A revocation that is on record, but whose lists could not be taken away, is carried out
// when it is said again; a second time it is known.
func TestRevocationIsCarriedOutAgain(t *testing.T) {
	m := machine(t)
	id := fingerprint(t, "vendor")
	m.Enter(t, func(s *ledger.Ledger) {
		s.Note(id, record.KeyRevocation{Source: grounds.SourceAdministrator, Hard: true}, s.Now())
	})
	wantLists(t, m, "not carried out,", helloList, otherList)
	if _, err := m.KeyRevoke(t.Context(), by, id, "again"); err != nil {
		t.Errorf("said again: %v", err)
	}
	wantLists(t, m, "said again,", otherList)
	_, err := m.KeyRevoke(t.Context(), by, id, "again")
	wantCode(t, "once more", err, api.Unchanged, "")
}

// If the key that signs lists is revoked, another signs all of them before the answer.
func TestSigningKeyIsRevoked(t *testing.T) {
	m := machine(t)
	old := m.Status().Certificate.SKI
	k, err := m.KeyRevoke(t.Context(), by, old, "stolen")
	if err != nil || k.State != api.KeyRevoked || k.Use != api.UseLists || k.Lists != 0 {
		t.Fatalf("%+v, %v", k, err)
	}
	now := m.Status().Certificate.SKI
	if now == old {
		t.Error("it signs on")
	}
	for list, ski := range signers(t, m) {
		if ski != now {
			t.Errorf("%s is signed by %s", list, ski)
		}
	}
	wantLists(t, m, "signed anew,", helloList, otherList)
	_, err = m.KeyRestore(t.Context(), by, old, "")
	wantCode(t, "restored", err, api.InvalidArgument, "signed lists here")
}

// A revocation that does not come from an administrator has to be removed at its source first.
func TestKeyRestoreRefuses(t *testing.T) {
	m := machine(t)
	id := fingerprint(t, "vendor")
	file := filepath.Join(m.Config.Revoked, "stolen")
	if err := os.WriteFile(file, []byte(id+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantLists(t, m, "with a file that revokes it", otherList)
	_, err := m.KeyRestore(t.Context(), by, id, "")
	wantCode(t, "revoked by a file", err, api.InvalidArgument, "is revoked by "+file)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	m.Sync(t)
	wantLists(t, m, "with the file gone", otherList) // a revocation stays
	if k, err := m.KeyRestore(t.Context(), by, id, ""); err != nil || k.State != api.KeyTrusted {
		t.Errorf("%+v, %v", k, err)
	}
	_, err = m.KeyRestore(t.Context(), by, id, "")
	wantCode(t, "one that is not revoked", err, api.Unchanged, "is not revoked")
	_, err = m.KeyRestore(t.Context(), by, fingerprint(t, "nobody"), "")
	wantCode(t, "one that is not known", err, api.NotFound, "")
	if _, err := m.KeyRevoke(t.Context(), by, id, ""); err != nil {
		t.Fatal(err)
	}
	_, err = m.KeyRestore(t.Context(), by, id, strings.Repeat("r", 1<<20))
	wantCode(t, "too long a reason", err, api.InvalidArgument, "reason")
}

// A key that the kernel alone has vouches for nothing here, and so is not revoked here.
func TestKeyOfTheKernelIsNotRevoked(t *testing.T) {
	needs.Root(t)
	ring := keyringtest.IMA(t)
	m := machine(t)
	cert, _ := daemontest.Certificate(t, 2048)
	var err error
	keyringtest.InRootsSession(func() { _, err = unix.AddKey("asymmetric", "", cert.Raw, ring) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.KeyRevoke(t.Context(), by, hex.EncodeToString(cert.SubjectKeyId), "")
	wantCode(t, "a key of the kernel", err, api.InvalidArgument, "is only in the kernel's keyring (kernel _ima)")
}
