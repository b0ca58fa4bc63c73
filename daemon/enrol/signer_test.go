// SPDX-License-Identifier: Apache-2.0

package enrol_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/config"
	"github.com/digestd/digestd/daemon/daemontest"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/record"
)

// Another key signs all lists anew; the one before counts as ours, and the log says who
// changed it and why.
func TestAnotherKeySigns(t *testing.T) {
	m := start(t)
	first := m.cert()
	m.wantSigned(t, "before", first)
	by := api.Actor{UID: 7, PID: 8, Sender: ":1.7"}
	got, err := m.SignerRotate(t.Context(), by, false, "every year")
	if err != nil {
		t.Fatal(err)
	}
	second := m.cert()
	if got.SKI != ski(second) || got.SKI == ski(first) {
		t.Errorf("answered %s, %s signs", got.SKI, ski(second))
	}
	m.wantSigned(t, "after", second)
	events := m.Events(t, audit.KindSignerChanged)
	if len(events) != 1 || events[0].Key != ski(second) || events[0].Text != "every year" || events[0].UID != 7 {
		t.Errorf("the log has %+v", events)
	}
	old := filepath.Join(m.Config.State, view.OldDir, ski(first)+".crt")
	if k := m.Snapshot().Keys[ski(first)]; k.Source != old || k.Gone.IsZero() {
		t.Errorf("the key of before is %+v", k)
	}
	m.Stop()
	m.Start(t)
	if certs := m.Snapshot().Certificates; len(certs) != 2 || !certs[0].Equal(second) || !certs[1].Equal(first) {
		t.Errorf("a start knows %d certificates", len(certs))
	}
}

// A change of the key that cannot be recorded has not happened.
func TestKeyThatCannotBeChanged(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, m machine) (mend func()){
		"no record": func(t *testing.T, m machine) func() { return m.StopCommits(t) },
		"no other key": func(t *testing.T, m machine) func() {
			files := m.Enroller.Identities
			m.Enroller.Identities = identity.Files{Dir: m.Config.State, Where: "nowhere"}
			return func() { m.Enroller.Identities = files }
		},
		"a prepared key that cannot sign": func(t *testing.T, m machine) func() {
			if _, err := m.Enroller.PrepareNext(t.Context()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(m.Config.State, identity.KeyFile+view.PreparedSuffix)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m.put(t, identity.KeyFile+view.PreparedSuffix, []byte("nonsense"))
			return func() { m.put(t, identity.KeyFile+view.PreparedSuffix, data) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := start(t)
			first := m.cert()
			mend := spoil(t, m)
			if err := m.Enroller.RenewIdentity(t.Context(), daemontest.Root, "test"); err == nil || !strings.HasPrefix(err.Error(), "cannot ") {
				t.Errorf("changed: %v", err)
			}
			if m.cert() != first || len(m.Events(t, audit.KindSignerChanged)) > 0 {
				t.Errorf("%s signs", ski(m.cert()))
			}
			// Nor may it be revoked then: nothing could sign.
			if name != "no record" {
				if err := m.Enroller.Revocable(t.Context(), ski(first)); daemontest.Code(err) != api.Failed {
					t.Errorf("revocable: %v", err)
				}
				if err := m.Enroller.Revocable(t.Context(), "00"); err != nil {
					t.Errorf("another's key: %v", err)
				}
			}
			mend()
			if err := m.Enroller.RenewIdentity(t.Context(), daemontest.Root, "test"); err != nil || m.cert() == first {
				t.Errorf("mended: %v", err)
			}
		})
	}
}

// away is a key that fails as long as something is the matter.
type away struct {
	signer.Signer
	matter *atomic.Pointer[error]
}

func (a away) Failure() error {
	if err := a.matter.Load(); err != nil {
		return *err
	}
	return nil
}

func (a away) Check(context.Context) error { return a.Failure() }

func (a away) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := a.Failure(); err != nil {
		return nil, err
	}
	return a.Signer.Sign(r, digest, opts)
}

// sign lets a key sign from now on, with the certificate that signs now.
func (m machine) sign(key signer.Signer) {
	b := *m.Builder.Load()
	b.Identity = b.Identity.With(b.Identity.Cert, key)
	m.Builder.Store(&b)
}

// A key that is away is a problem, and looked for until it is there; then the lists are
// made that are missing.
func TestSignerIsAway(t *testing.T) {
	m := start(t)
	daemontest.Loop(t, m.Enroller.Run)
	key := away{m.Builder.Load().Identity.Key, &atomic.Pointer[error]{}}
	m.sign(key)
	gone := errors.New("the token is away")
	key.matter.Store(&gone)
	m.Install(t, daemontest.Package(t, "late", "", map[string]string{"/opt/late": "two"}))
	m.Sync(t)
	if got := m.Problem("signing-key").Text; !strings.HasPrefix(got, gone.Error()) {
		t.Errorf("status says %q", got)
	}
	if names := m.Names(t); len(names) != 1 {
		t.Errorf("the lists are %v, want those of before", names)
	}
	if err := m.Enroller.ReachSigner(t.Context()); !errors.Is(err, gone) {
		t.Errorf("reached: %v", err)
	}
	m.Enroller.TellOfSigner(t.Context())
	m.Wants()
	key.matter.Store(nil)
	reason, wanted := "", false
	daemontest.Await(t, "a comparison", func() bool {
		if !wanted {
			reason, wanted = m.Wants()
		}
		return wanted
	})
	if reason != "the signing key can be used again" {
		t.Errorf("a comparison is wanted because %s", reason)
	}
	m.Sync(t)
	if names, p := m.Names(t), m.Problem("signing-key"); len(names) != 2 || p.Text != "" {
		t.Errorf("the lists are %v, and status says %q", names, p.Text)
	}
}

// A revoked key signs nothing while no other can be made, and gives way to the first that
// can.
func TestRevokedSignerWithoutSuccessor(t *testing.T) {
	m := start(t)
	first := m.cert()
	files := m.Enroller.Identities
	m.Enter(t, func(s *ledger.Ledger) {
		k := s.Keys[ski(first)]
		k.Revoked = &record.KeyRevocation{Source: grounds.SourceAdministrator, Hard: true}
		s.SetKey(k)
		s.Show()
	})
	m.Enroller.Identities = identity.Files{Dir: m.Config.State, Where: "nowhere"}
	for range 2 { // the second time it is refused already
		m.Enroller.ReplaceRevoked(t.Context(), ski(first))
	}
	key := m.Builder.Load().Identity.Key
	if _, err := key.Sign(nil, make([]byte, 32), crypto.SHA256); err == nil || !strings.Contains(err.Error(), ski(first)+" was revoked") {
		t.Errorf("it signs: %v", err)
	}
	if err := m.Enroller.ReachSigner(t.Context()); err == nil {
		t.Error("it can be reached")
	}
	m.Enroller.Identities = files
	if err := m.Enroller.ReachSigner(t.Context()); err != nil {
		t.Error(err)
	}
	if m.cert() == first {
		t.Error("no other key signs")
	}
	m.Sync(t)
	m.wantSigned(t, "afterwards", m.cert())
}

// A certificate that an authority made for the same key is taken over, and all lists are
// signed anew with it; what would not do is refused, and changes nothing.
func TestCertificateIsReloaded(t *testing.T) {
	m := start(t)
	first := m.cert()
	key := m.Builder.Load().Identity.Key
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	reload := func() (bool, error) { return m.Enroller.ReloadCertificate(t.Context(), daemontest.Root) }
	if changed, err := reload(); changed || err != nil {
		t.Errorf("what is there already: %t, %v", changed, err)
	}
	for name, test := range map[string]struct {
		data []byte
		says string
	}{
		"nonsense":         {[]byte("nonsense"), "not PEM"},
		"of another key":   {pemOf("CERTIFICATE", certify(t, authority.Public(), authority, func(*x509.Certificate) {}).Raw), "of another key"},
		"of an authority":  {pemOf("CERTIFICATE", certify(t, key.Public(), authority, func(c *x509.Certificate) { c.IsCA = true }).Raw), "it is a CA certificate"},
		"without its name": {pemOf("CERTIFICATE", certify(t, key.Public(), authority, func(c *x509.Certificate) { c.SubjectKeyId = nil }).Raw), "no subject key identifier"},
	} {
		m.put(t, identity.CertFile, test.data)
		changed, err := reload()
		var refused *api.Error
		if changed || !errors.As(err, &refused) || !strings.Contains(refused.Message, test.says) || !strings.Contains(refused.Advice, "openssl req") || m.cert() != first {
			t.Errorf("%s: %t, %v", name, changed, err)
		}
	}
	better := certify(t, key.Public(), authority, func(c *x509.Certificate) { c.SubjectKeyId, c.Issuer.CommonName = first.SubjectKeyId, "authority" })
	m.put(t, identity.CertFile, pemOf("CERTIFICATE", better.Raw))
	if changed, err := reload(); !changed || err != nil || !m.cert().Equal(better) {
		t.Fatalf("%t, %v", changed, err)
	}
	m.Sync(t)
	m.wantSigned(t, "taken over", better)
	if events := m.Events(t, audit.KindSignerChanged); len(events) != 1 || !strings.HasPrefix(events[0].Text, "another certificate for the same key") {
		t.Errorf("the log has %+v", events)
	}
	m.Stop()
	m.Start(t)
	m.Sync(t)
	if !m.cert().Equal(better) {
		t.Error("the next start signs with the one of before")
	}
	m.wantSigned(t, "after a restart", better)
}

// If this machine does not sign lists, its key does not matter.
func TestListsOfOthers(t *testing.T) {
	m := machine{daemontest.New(t, func(c *config.Config) { c.Sign = "none" })}
	gone := errors.New("the token is away")
	key := away{m.Builder.Load().Identity.Key, &atomic.Pointer[error]{}}
	key.matter.Store(&gone)
	m.sign(key)
	m.Enroller.TellOfEnrolment(t.Context())
	m.Enroller.TellOfSigner(t.Context())
	if err := m.Enroller.ReadySuccessor(t.Context()); err != nil {
		t.Error(err)
	}
	if p := m.Problem("not-enrolled"); p.Text != "" {
		t.Errorf("status says %q", p.Text)
	}
}
