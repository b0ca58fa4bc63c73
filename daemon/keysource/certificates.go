// SPDX-License-Identifier: Apache-2.0

package keysource

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/digestlist"
	"golang.org/x/sys/unix"
)

// CertificatesIn returns the X.509 certificates in the files *.crt, *.pem, *.cer
// and *.der of a directory, and an error for each file that could not be read.
func CertificatesIn(dir string) (certs []*x509.Certificate, errs []error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if e.IsDir() || !slices.Contains([]string{".crt", ".pem", ".cer", ".der"}, filepath.Ext(e.Name())) {
			continue
		}
		found, err := certificatesOf(filepath.Join(dir, e.Name()))
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read certificate %s: %w", filepath.Join(dir, e.Name()), err))
		}
		certs = append(certs, found...)
	}
	return certs, errs
}

func certificatesOf(path string) (certs []*x509.Certificate, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	data, err := io.ReadAll(io.LimitReader(f, view.MaxCertificate+1))
	if err != nil {
		return nil, err
	}
	if len(data) > view.MaxCertificate {
		return nil, fmt.Errorf("larger than %d bytes", view.MaxCertificate)
	}
	if certs, err = digestlist.Certificates(data); err != nil || len(certs) > 0 {
		return certs, err
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{cert}, nil
}
