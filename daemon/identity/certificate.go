// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/durable"
)

// An owner may have the certificate of the signing key replaced by another for the
// same key: one that an authority signed whom the kernel trusts. It is put in the place
// of signing.crt and taken over by the next start or the next enrolment. Lists embed
// the certificate, so all are signed anew.

// ReadCertificate reads a certificate from a file in PEM that root, or who runs this, owns.
// Errors name the file; one that is not there is fs.ErrNotExist.
func ReadCertificate(path string) (*x509.Certificate, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read certificate %s: %w", path, err)
	}
	return cert, nil
}

func parseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// FollowCertificate brings signing.der in line with the certificate, and keeps the one
// that was there before among those that signed.
func FollowCertificate(dir string, cert *x509.Certificate) error {
	path := filepath.Join(dir, DERFile)
	old, err := readFile(path)
	if err == nil && bytes.Equal(old, cert.Raw) {
		return nil
	}
	if before, perr := x509.ParseCertificate(old); err == nil && perr == nil {
		if err := keepCertificate(dir, before); err != nil {
			return err
		}
	}
	return durable.WriteFile(path, cert.Raw, 0o644)
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
	return durable.WriteFile(filepath.Join(dir, view.OldDir, name), data, 0o644)
}

// CheckCertificate refuses a certificate that no kernel would take, or by which lists
// could not be verified.
func CheckCertificate(cert *x509.Certificate) error {
	switch {
	case len(cert.SubjectKeyId) == 0:
		return errors.New("it has no subject key identifier")
	case cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("it is not for digital signatures (keyUsage)")
	case cert.KeyUsage&x509.KeyUsageCertSign != 0 || cert.IsCA:
		return errors.New("it is a CA certificate, which .ima does not accept")
	}
	return nil
}
