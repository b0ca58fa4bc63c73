// SPDX-License-Identifier: Apache-2.0

package keysource

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/rpmdb/pgp"
	"golang.org/x/sys/unix"
)

const (
	maxRevokedFile  = 1 << 20
	maxRevokedFiles = 1000
)

// ReadRevoked reads the directory of revocations. A file there holds fingerprints,
// one a line; or OpenPGP certificates, whose keys are revoked whatever they say
// of themselves; or an X.509 CRL (RFC 5280, section 5), which must be signed by
// one of the certificates that this machine signed lists with. A directory
// that does not exist is empty.
func ReadRevoked(dir string, own []*x509.Certificate) (revoked []grounds.RevokedKey, errs []error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{fmt.Errorf("cannot read revocations: %w", err)}
	}
	if len(entries) > maxRevokedFiles {
		errs = append(errs, fmt.Errorf("cannot read all revocations: %s has more than %d files", dir, maxRevokedFiles))
		entries = entries[:maxRevokedFiles]
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		prints, err := readRevokedFile(path, own)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read revocations in %s: %w", path, err))
		}
		for _, p := range prints {
			revoked = append(revoked, grounds.RevokedKey{Fingerprint: p, File: path})
		}
	}
	return revoked, errs
}

func readRevokedFile(path string, own []*x509.Certificate) ([]string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRevokedFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRevokedFile {
		return nil, fmt.Errorf("more than %d bytes", maxRevokedFile)
	}
	return parseRevoked(data, own)
}

// parseRevoked tells the three kinds of content apart.
func parseRevoked(data []byte, own []*x509.Certificate) ([]string, error) {
	der := data
	if block, _ := pem.Decode(data); block != nil && block.Type == "X509 CRL" {
		der = block.Bytes
	}
	if crl, err := x509.ParseRevocationList(der); err == nil {
		return fromCRL(crl, own)
	} else if bytes.Contains(data, []byte("-----BEGIN X509 CRL")) {
		return nil, err
	}
	if prints, err := fromText(data); err == nil {
		return prints, nil
	} else if bytes.IndexByte(data, '\n') >= 0 && !bytes.Contains(data, []byte("-----BEGIN PGP")) && isText(data) {
		return nil, err
	}
	certs, err := pgp.ParseCerts(data)
	if err != nil {
		return nil, err
	}
	var prints []string
	for _, c := range certs {
		prints = append(prints, c.Fingerprint)
	}
	return prints, nil
}

func isText(data []byte) bool {
	for _, c := range data {
		if c >= 0x80 || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
	}
	return true
}

func fromText(data []byte) (prints []string, err error) {
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		p := pgp.ParseFingerprint(line)
		if p == "" {
			return nil, fmt.Errorf("%.80q is no fingerprint", line)
		}
		prints = append(prints, p)
	}
	return prints, nil
}

// fromCRL believes a list that one of our certificates signed: they are their own
// issuers, and may revoke themselves though they are marked for signing lists
// only. It returns the subject key identifiers of those it revokes.
func fromCRL(crl *x509.RevocationList, own []*x509.Certificate) (revoked []string, err error) {
	err = fmt.Errorf("it is of %q, which issued no certificate of this machine", crl.Issuer)
	for _, cert := range own {
		if !bytes.Equal(crl.RawIssuer, cert.RawSubject) {
			continue
		}
		if bad := cert.CheckSignature(crl.SignatureAlgorithm, crl.RawTBSRevocationList, crl.Signature); bad != nil {
			err = fmt.Errorf("its issuer did not sign it: %w", bad)
			continue
		}
		for _, r := range crl.RevokedCertificateEntries {
			if r.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				revoked = append(revoked, hex.EncodeToString(cert.SubjectKeyId))
			}
		}
		return revoked, nil
	}
	return nil, err
}
