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

// The owner may replace the certificate of the signing key by another one for the same key,
// which an authority that the kernel trusts has signed. The owner writes it to signing.crt; the
// next start or the next enrolment uses it. Lists embed the certificate, so digestd signs all
// lists again.

// ReadCertificate reads a certificate in PEM form. The file must belong to root or to the user
// of this process. Errors name the file; fs.ErrNotExist is among them.
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

// FollowCertificate writes the certificate to signing.der, and keeps the previous one among
// those that signed before.
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

// keepCertificate adds a certificate to those that signed before. One key may have had several.
func keepCertificate(dir string, cert *x509.Certificate) error {
	if err := os.MkdirAll(filepath.Join(dir, view.OldDir), 0o755); err != nil {
		return err
	}
	sum := sha256.Sum256(cert.Raw)
	name := hex.EncodeToString(cert.SubjectKeyId) + "-" + hex.EncodeToString(sum[:8]) + ".crt"
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	return durable.WriteFile(filepath.Join(dir, view.OldDir, name), data, 0o644)
}

// CheckCertificate returns an error if no kernel would accept the certificate, or if it could
// not verify lists.
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
