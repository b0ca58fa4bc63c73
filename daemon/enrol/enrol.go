// SPDX-License-Identifier: Apache-2.0

// Package enrol keeps the key that signs lists in use, changes it, and brings its
// certificate to where the kernel looks for it.
package enrol

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/host"
	"github.com/digestd/digestd/daemon/identity"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/durable"
)

// Enroller keeps the key that signs lists, and what the kernel knows of its certificate.
type Enroller struct {
	*host.Host
	Identities identity.Identities
	Refresh    func(context.Context) error // reads the keys anew, which replaces a revoked one
	rotation   sync.Mutex                  // one change of the signing key at a time
	unsigned   chan struct{}               // the signing key cannot be used
}

// New returns an Enroller for these identities. Set Refresh before its loop runs.
func New(h *host.Host, identities identity.Identities) *Enroller {
	return &Enroller{Host: h, Identities: identities, unsigned: make(chan struct{}, 1)}
}

// Enrollable returns the certificate that signs and the prepared one, with their files in
// the forms that keyctl and mokutil read.
func (en *Enroller) Enrollable() (certs []*x509.Certificate, files []string, err error) {
	en.rotation.Lock()
	defer en.rotation.Unlock()
	dir := en.Config.State
	certs, files = []*x509.Certificate{en.Builder.Load().Identity.Cert}, []string{filepath.Join(dir, identity.DERFile)}
	next, err := identity.ReadCertificate(filepath.Join(dir, identity.CertFile+view.PreparedSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return certs, files, nil
	}
	if err == nil {
		certs, files = append(certs, next), append(files, filepath.Join(dir, identity.DERFile+view.PreparedSuffix))
	}
	return certs, files, err
}

// EnrolIMA adds certificates to the keyring with which IMA verifies signatures. e reports
// what it did and which steps are left. The errors explain a refusal of the kernel.
func (en *Enroller) EnrolIMA(certs []*x509.Certificate, e *api.Enrolment) error {
	rings, err := en.signerRings()
	if err != nil {
		return err
	}
	if len(rings) == 0 {
		return &api.Error{Code: api.Failed, Message: "the kernel has no .ima keyring (CONFIG_INTEGRITY_TRUSTED_KEYRING)",
			Advice: "such a kernel uses a keyring _ima in root's session: create it at boot, before the first list is read: keyctl newring _ima @u"}
	}
	ring := rings[0]
	for _, c := range certs {
		if err := ring.AddCertificate(c.Raw); err != nil {
			return &api.Error{Code: api.Failed, Message: err.Error(), Advice: en.enrolAdvice(ring)}
		}
		e.Done = append(e.Done, fmt.Sprintf("certificate %x is in the kernel's %s keyring", c.SubjectKeyId, ring.Name()))
	}
	// The kernel then looks again at the lists that it refused because the certificate was
	// missing.
	var names []string
	for _, l := range en.Snapshot().Entries {
		if l.Active() {
			names = append(names, l.Name)
		}
	}
	if err := en.Dir.Announce(names); err != nil {
		en.Logger.Warn("lists not announced to the kernel", "error", err)
	}
	e.Left = append(e.Left, "the kernel drops it at the next boot; to load it at every boot: digestctl keys enrol --file")
	return nil
}

func (en *Enroller) enrolAdvice(ring kernel.Keyring) string {
	if ring.Name() != kernel.RingIMA {
		return "see the owner of the keyring: keyctl rdescribe; then try again"
	}
	return "the kernel accepts certificates signed by one that it trusts: have the machine's owner trust this one " +
		"(digestctl keys enrol --mok), or get a certificate for the same key from an authority that the kernel trusts (" +
		requestAdvice(en.Builder.Load().Identity.KeyPath()) + "), replace signing.crt with it and enrol again"
}

// followEnrolment has the kernel know the next certificate as it knows the one
// that signs: in its keyring now, and at boot. It fails when lists by the next
// one would not be accepted where those by this one are.
func (en *Enroller) followEnrolment() error {
	skid := en.Builder.Load().Identity.SKI()
	certs, _, err := en.Enrollable()
	if err != nil || len(certs) < 2 {
		return err
	}
	next := certs[1]
	rings, err := en.signerRings()
	if OutOfReach(err) != nil {
		return err
	}
	for _, ring := range rings {
		ids, err := KeyIn(ring, skid)
		if err == nil && len(ids) > 0 {
			err = ring.AddCertificate(next.Raw)
		}
		if err != nil {
			return &api.Error{Code: api.Failed, Message: "the kernel would not accept lists signed with the next certificate: " + err.Error(),
				Advice: en.enrolAdvice(ring) + "; then rotate"}
		}
	}
	if _, err := os.Stat(en.bootPath(bootName(skid))); err != nil {
		return nil
	}
	return durable.WriteFile(en.bootPath(bootName(hex.EncodeToString(next.SubjectKeyId))), next.Raw, 0o644)
}

// EnrolReplacement enrols the successor of a revoked certificate in the same places: the
// keyrings that had the revoked one, and the files for the next boot. Failures are problems
// in status.
func (en *Enroller) EnrolReplacement(ctx context.Context, left Removal) {
	c := en.Builder.Load().Identity.Cert
	var errs []error
	for _, ring := range left.Rings {
		errs = append(errs, ring.AddCertificate(c.Raw))
	}
	if left.Boot {
		var e api.Enrolment
		errs = append(errs, en.EnrolFile([]*x509.Certificate{c}, &e))
	}
	err := errors.Join(errs...)
	if err == nil {
		return
	}
	en.Logger.Error("new certificate not enrolled", "error", err)
	en.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		s.Problem("not-enrolled", api.SeverityWarning, "the kernel does not trust the certificate that signs the lists now: "+err.Error(),
			"see how to enrol it: digestctl keys enrol --help")
		s.Show()
		return nil
	})
}
