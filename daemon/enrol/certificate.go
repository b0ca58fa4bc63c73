// SPDX-License-Identifier: Apache-2.0

package enrol

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"path/filepath"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/store/record"
)

// ReloadCertificate takes over the certificate that replaced signing.crt, and reports
// whether it is another one.
func (en *Enroller) ReloadCertificate(ctx context.Context, by api.Actor) (changed bool, err error) {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	old := en.Builder.Load()
	cert, err := identity.ReadCertificate(filepath.Join(en.Config.State, identity.CertFile))
	if err == nil && bytes.Equal(cert.Raw, old.Identity.Cert.Raw) {
		return false, nil
	}
	refused := func(err error) error {
		return &api.Error{Code: api.Failed, Message: "cannot load the new certificate: " + err.Error(),
			Advice: "request a certificate for the present key: " + requestAdvice(old.Identity.KeyPath()) + "; or put " + filepath.Join(en.Config.State, identity.DERFile) + " back in PEM"}
	}
	if err != nil {
		return false, refused(err)
	}
	if public, ok := old.Identity.Cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
		return false, refused(fmt.Errorf("%s is of another key", old.Identity.Path))
	}
	if err := identity.CheckCertificate(cert); err != nil {
		return false, refused(fmt.Errorf("%s: %w", old.Identity.Path, err))
	}
	if err := identity.FollowCertificate(en.Config.State, cert); err != nil {
		return false, err
	}
	err = en.Exec.Enter(ctx, "certificate", func(s *ledger.Ledger) error {
		m := *en.Builder.Load()
		m.Identity = old.Identity.With(cert, old.Identity.Key)
		en.Builder.Store(&m)
		s.Signer = m.Signer()
		s.Certificates = append([]*x509.Certificate{cert}, s.Certificates...)
		s.MeetSigner(cert, m.Identity.Path)
		s.AdoptCertificate([]byte{}, cert)
		s.Event(record.Event{Kind: audit.KindSignerChanged, Key: m.Identity.SKI(), Text: "another certificate for the same key, by " + cert.Issuer.String(), UID: by.UID, PID: by.PID})
		s.Record()
		return nil
	})
	if err != nil && en.Builder.Load() != old {
		en.Logger.Error("change of the certificate not recorded yet", "error", err)
		err = nil
	}
	return err == nil, err
}

// requestAdvice is how an authority is asked to sign a certificate for a key in a file.
func requestAdvice(key string) string {
	return "openssl req -new -key " + key + " -subj '/CN=digestd' -out signing.csr"
}
