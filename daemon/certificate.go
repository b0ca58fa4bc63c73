// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/audit"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
)

// An owner may have the certificate of the signing key replaced by another for the
// same key: one that an authority signed whom the kernel trusts. It is put in the place
// of signing.crt and taken over by the next start or the next enrolment. Lists embed
// the certificate, so all are signed anew.

// followCertificate brings signing.der in line with the certificate, and keeps the one
// that was there before among those that signed.
func followCertificate(dir string, cert *x509.Certificate) error {
	path := filepath.Join(dir, signingDERFile)
	old, err := readState(path)
	if err == nil && bytes.Equal(old, cert.Raw) {
		return nil
	}
	if before, perr := x509.ParseCertificate(old); err == nil && perr == nil {
		if err := keepCertificate(dir, before); err != nil {
			return err
		}
	}
	return store.WriteFileDurably(path, cert.Raw, 0o644)
}

// keepCertificate adds a certificate to those that signed before. One key may have had
// several.
func keepCertificate(dir string, cert *x509.Certificate) error {
	if err := os.MkdirAll(filepath.Join(dir, view.OldDir), 0o755); err != nil {
		return err
	}
	sum := sha256.Sum256(cert.Raw)
	name := hex.EncodeToString(cert.SubjectKeyId) + "-" + hex.EncodeToString(sum[:8]) + ".crt"
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return store.WriteFileDurably(filepath.Join(dir, view.OldDir, name), data, 0o644)
}

// checkCertificate refuses a certificate that no kernel would take, or by which lists
// could not be verified.
func checkCertificate(cert *x509.Certificate) error {
	switch {
	case len(cert.SubjectKeyId) == 0:
		return errors.New("it has no subject key identifier")
	case cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("it is not for digital signatures (keyUsage)")
	case cert.KeyUsage&x509.KeyUsageCertSign != 0 || cert.IsCA:
		return errors.New("it is an authority's, which .ima does not take")
	}
	return nil
}

// reloadCertificate takes the certificate over that was put in the place of
// signing.crt, and reports whether it is another.
func (en *Enroller) reloadCertificate(ctx context.Context, by api.Actor) (changed bool, err error) {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	old := en.maker.Load()
	data, err := readState(filepath.Join(en.config.State, signingCertFile))
	if err != nil {
		return false, err
	}
	cert, err := parseCertificate(data)
	if err == nil && bytes.Equal(cert.Raw, old.identity.cert.Raw) {
		return false, nil
	}
	refused := func(err error) error {
		return &api.Error{Code: api.Failed, Message: fmt.Sprintf("cannot use the certificate in %s: %v", old.identity.path, err),
			Advice: "have the request of the present key signed: " + requestAdvice(old.identity.keyPath()) + "; or put " + filepath.Join(en.config.State, signingDERFile) + " back in PEM"}
	}
	if err != nil {
		return false, refused(err)
	}
	if public, ok := old.identity.cert.PublicKey.(interface{ Equal(x any) bool }); ok && !public.Equal(cert.PublicKey) {
		return false, refused(errors.New("it is of another key"))
	}
	if err := checkCertificate(cert); err != nil {
		return false, refused(err)
	}
	if err := followCertificate(en.config.State, cert); err != nil {
		return false, err
	}
	err = en.exec.Enter(ctx, "certificate", func(s *ledger.Ledger) error {
		id := *old.identity
		id.cert = cert
		m := *en.maker.Load()
		m.identity = &id
		en.maker.Store(&m)
		s.Signer = m.signer()
		s.Certificates = append([]*x509.Certificate{cert}, s.Certificates...)
		s.MeetSigner(cert, id.path)
		s.AdoptCertificate([]byte{}, cert)
		s.Event(record.Event{Kind: audit.KindSignerChanged, Key: id.skid(), Text: "another certificate for the same key, by " + cert.Issuer.String(), UID: by.UID, PID: by.PID})
		s.Record()
		return nil
	})
	if err != nil && en.maker.Load() != old {
		en.log.Error("change of the certificate not recorded yet", "error", err)
		err = nil
	}
	return err == nil, err
}

// requestAdvice is how an authority is asked to sign a certificate for a key in a file.
func requestAdvice(key string) string {
	return "openssl req -new -key " + key + " -subj '/CN=digestd' -out signing.csr"
}
