// SPDX-License-Identifier: Apache-2.0

package ownlist

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/keysource"
	"github.com/digestd/digestd/daemon/ledger"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/digestlist/header"
)

// openImport verifies a list that was signed elsewhere and returns its body as a
// tlv list. Its signature does not go on: a kernel of this machine knows neither
// the key of another, nor OpenPGP. It is signed anew here, and stands as long as
// the key that vouched for it.
func (ol *Keeper) openImport(c *ledger.OwnCandidate, data []byte) ([]byte, error) {
	refuse := func(advice, format string, args ...any) error {
		return &api.Error{Code: api.InvalidArgument, Message: "cannot import the list: " + fmt.Sprintf(format, args...), Advice: advice}
	}
	body, sig, kind, err := digestlist.SplitSignature(data)
	switch {
	case errors.Is(err, digestlist.ErrUnsigned):
		return nil, refuse("sign it, or make a list of the files here: digestctl own add", "it is not signed")
	case err != nil:
		return nil, refuse("check it: digestctl format check FILE", "its signature is malformed: %v", err)
	}
	switch kind {
	case digestlist.SigPKCS7:
		certs, errs := keysource.CertificatesIn(ol.Config.Keys)
		for _, err := range errs {
			ol.Logger.Warn("certificate not read", "error", err)
		}
		certs = append(certs, ol.Snapshot().PolicyCertificates()...)
		certs = slices.DeleteFunc(certs, func(cert *x509.Certificate) bool {
			return ol.Snapshot().Keys[grounds.CertificateID(cert)].Revoked != nil
		})
		cert, err := digestlist.VerifyPKCS7(body, sig, certs)
		if err == nil {
			err = ol.usable(cert)
		}
		if err != nil {
			return nil, refuse("to trust its signer, put the certificate into "+ol.Config.Keys, "%v", err)
		}
		c.Record.Key, c.Record.KeyKind, c.Importer = grounds.CertificateID(cert), view.KeyX509, cert
	case digestlist.SigPGP:
		h, err := regionOf(body)
		if err != nil {
			return nil, refuse("check it: digestctl format check FILE", "an OpenPGP signature covers a package header, which this list does not have: %v", err)
		}
		region, err := h.Immutable()
		if err != nil {
			return nil, refuse("", "%v", err)
		}
		result, err := ol.Snapshot().Keyring.Verify(region, []header.Signature{{Tag: header.TagRSAHeader, Data: sig}}, ol.Now())
		if err != nil {
			return nil, refuse("to trust its signer, put the certificate into "+ol.Config.Keys, "%v", err)
		}
		if result.Held != "" {
			return nil, refuse("see digestctl status", "%s", result.Held)
		}
		c.Record.Key, c.Record.KeyKind = result.Cert.Fingerprint, view.KeyPGP
	default:
		return nil, refuse("", "its signature is of an unknown kind (%d)", kind)
	}
	if h, err := regionOf(body); err == nil {
		pkg, err := h.NEVRA()
		if err != nil {
			return nil, refuse("", "%v", err)
		}
		c.Record.Package = pkg.Full()
		if body, _, err = digestlist.AppendPackageTLV(nil, h); err != nil {
			return nil, refuse("", "%v", err)
		}
	}
	return body, nil
}

// regionOf reads the body of a list in the rpm format.
func regionOf(body []byte) (*header.Header, error) {
	if len(body) < len(header.Magic) || string(body[:len(header.Magic)]) != header.Magic {
		return nil, errors.New("it does not begin as one")
	}
	return header.ParseImmutable(body[len(header.Magic):])
}

// usable refuses certificates that must not sign lists.
func (ol *Keeper) usable(cert *x509.Certificate) error {
	now := ol.Now()
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("the key of %q has %d bits: want 2048 or more", cert.Subject, key.N.BitLen())
		}
	case *ecdsa.PublicKey:
	default:
		return fmt.Errorf("the key of %q is a %T", cert.Subject, key)
	}
	switch {
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("the certificate of %q is not for signatures", cert.Subject)
	case now.Before(cert.NotBefore):
		return fmt.Errorf("the certificate of %q is not valid before %s", cert.Subject, cert.NotBefore.UTC().Format("2006-01-02"))
	case now.After(cert.NotAfter):
		return fmt.Errorf("the certificate of %q expired on %s", cert.Subject, cert.NotAfter.UTC().Format("2006-01-02"))
	}
	return nil
}
