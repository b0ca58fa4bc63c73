// SPDX-License-Identifier: Apache-2.0

package enrol

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/kernel"
	"github.com/digestd/digestd/store/record"
)

// OutOfReach passes over errors that are no news: containers keep keys from those
// in them, and kernels lack keyrings.
func OutOfReach(err error) error {
	if errors.Is(err, kernel.ErrNoKeys) || errors.Is(err, kernel.ErrNoKeyring) {
		return nil
	}
	return err
}

// signerRings returns the keyrings by which IMA verifies lists: .ima, or where
// the kernel has none, the open one.
func (en *Enroller) signerRings() ([]kernel.Keyring, error) {
	return en.Keyrings.FindAll(kernel.RingIMA, kernel.RingIMAOpen)
}

// KeyIn returns the serial numbers, in a keyring, of the certificate with a subject key
// identifier (hexadecimal): usually one, or none.
func KeyIn(ring kernel.Keyring, skid string) (ids []int, err error) {
	keys, err := ring.Keys()
	for _, k := range keys {
		if _, id, ok := k.Certificate(); ok && id == skid {
			ids = append(ids, k.ID)
		}
	}
	return ids, OutOfReach(err)
}

// Removal lists the places from which a revoked certificate was removed.
type Removal struct {
	Rings []kernel.Keyring
	Boot  bool // where the next boot would have found it
}

// RemoveRevoked removes the revoked certificates of this machine from the kernel's keyring
// and from the files for the next boot. digestd calls it whenever it reads the keys, so that
// an interrupted removal is completed and a certificate that was put back is removed again.
// Failures are problems in status.
func (en *Enroller) RemoveRevoked(ctx context.Context) (left Removal) {
	var revoked []record.Key
	for _, k := range en.Snapshot().Keys {
		if k.Use == view.UseLists && k.Revoked != nil {
			revoked = append(revoked, k)
		}
	}
	if len(revoked) == 0 {
		return left
	}
	failpoint.Hit("unenrol", "before")
	var errs []error
	rings, err := en.signerRings()
	errs = append(errs, OutOfReach(err))
	advice := ""
	for _, k := range revoked {
		for _, ring := range rings {
			ids, err := KeyIn(ring, k.Fingerprint)
			errs = append(errs, err)
			for _, id := range ids {
				if err := ring.Unlink(id); err != nil {
					errs = append(errs, err)
					continue
				}
				left.Rings = append(left.Rings, ring)
				en.Logger.Warn("revoked certificate removed from the kernel", "keyring", ring.Name(), "key", k.Fingerprint)
			}
		}
		files, err := en.removeBootFiles(k.Fingerprint)
		errs = append(errs, err)
		if len(files) > 0 {
			left.Boot, advice = true, "the initial file system may still have it: "+en.rebuildAdvice()
			en.Logger.Warn("revoked certificate is not loaded at boot any more", "removed", strings.Join(files, ", "), "key", k.Fingerprint)
		}
	}
	failpoint.Hit("unenrol", "after")
	en.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		if err := errors.Join(errs...); err != nil {
			s.Problem("revoked-enrolled", api.SeverityError, "a revoked certificate of this machine may still be in the kernel: "+err.Error(),
				"fix the cause, then: digestctl sync; or reboot")
		} else {
			s.Solved("revoked-enrolled")
		}
		if advice != "" {
			s.Problem("revoked-at-boot", api.SeverityNotice, "a revoked certificate of this machine was loaded at boot; digestd has removed it from there", advice)
		}
		s.Show()
		return nil
	})
	return left
}

// TellOfEnrolment warns if the kernel verifies lists but does not know the certificate that
// signs them.
func (en *Enroller) TellOfEnrolment(ctx context.Context) {
	m := en.Builder.Load()
	if m.Sign != ledger.SignPKCS7 {
		return
	}
	skid, others := m.Identity.SKI(), false
	in := ""
	rings, err := en.signerRings()
	err = OutOfReach(err)
	for _, ring := range rings {
		keys, kerr := ring.Keys()
		err = errors.Join(err, OutOfReach(kerr))
		for _, k := range keys {
			_, id, _ := k.Certificate()
			if id == skid {
				in = ring.Name()
			}
			others = others || id != skid && en.isOwn(id)
		}
	}
	cache := in == "" && en.DigestCache() == kernel.Yes
	en.Exec.Enter(ctx, "note", func(s *ledger.Ledger) error {
		switch {
		case in != "" || len(rings) == 0 && !cache:
			s.Solved("not-enrolled")
		case err == nil && (others || cache):
			s.Problem("not-enrolled", api.SeverityWarning, "the kernel does not trust the certificate that signs the lists, "+skid,
				"see how to enrol it: digestctl keys enrol --help")
		}
		s.Show()
		return nil
	})
}

// isOwn reports whether a certificate of this machine has that key identifier.
func (en *Enroller) isOwn(skid string) bool {
	for _, c := range en.Snapshot().Certificates {
		if hex.EncodeToString(c.SubjectKeyId) == skid {
			return true
		}
	}
	return false
}
