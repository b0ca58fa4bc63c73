// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store/durable"
)

// identityNames are in the order in which they are replaced: the certificate last.
var identityNames = [...]string{KeyFile, DERFile, CertFile}

// completeRotation finishes a change of identity that was interrupted: it reverts the change if
// the new certificate was not in place, and completes it otherwise.
func completeRotation(dir string) error {
	_, err := os.Stat(filepath.Join(dir, CertFile+view.NextSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return goBack(dir) // the certificate is still a prepared one
	}
	if err != nil {
		return err
	}
	if err := keepOldCertificate(dir); err != nil {
		return err
	}
	for _, name := range identityNames {
		path := filepath.Join(dir, name)
		if err := os.Rename(path+view.NextSuffix, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		failpoint.Hit("rotate", "between-files")
	}
	return durable.SyncDir(dir)
}

// goBack makes the identity that was about to follow a prepared one again. It moves the
// certificate first, because the certificate makes the other files valid.
func goBack(dir string) error {
	for _, name := range slices.Backward(identityNames[:]) {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path + view.NextSuffix); errors.Is(err, fs.ErrNotExist) {
			continue // a read-only directory, such as a builder of images may mount, is no error
		}
		if err := os.Rename(path+view.NextSuffix, path+view.PreparedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func keepOldCertificate(dir string) error {
	data, err := readFile(filepath.Join(dir, CertFile))
	if err != nil {
		return err
	}
	cert, err := parseCertificate(data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, view.OldDir), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, view.OldDir, hex.EncodeToString(cert.SubjectKeyId)+".crt"), data, 0o644)
}

// oldCertificates returns the certificates that signed lists before. One that cannot be read
// does not affect the others: unread names it.
func oldCertificates(dir string) (certs []*x509.Certificate, unread error) {
	entries, err := os.ReadDir(filepath.Join(dir, view.OldDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".crt" {
			continue
		}
		cert, err := ReadCertificate(filepath.Join(dir, view.OldDir, e.Name()))
		if err != nil {
			unread = errors.Join(unread, err)
			continue
		}
		certs = append(certs, cert)
	}
	return certs, unread
}

// Prepare implements [Identities].
func (f Files) Prepare(ctx context.Context, now time.Time, release func()) (string, error) {
	path := filepath.Join(f.Dir, CertFile+view.PreparedSuffix)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		release()
		err = create(ctx, f.Dir, view.PreparedSuffix, f.Where, now)
	}
	return path, err
}

// Follow implements [Identities].
func (f Files) Follow(ctx context.Context, now time.Time) (*Identity, error) {
	rename := os.Rename
	if f.Rename != nil {
		rename = f.Rename
	}
	for _, name := range identityNames {
		path := filepath.Join(f.Dir, name)
		if err := rename(path+view.PreparedSuffix, path+view.NextSuffix); err != nil {
			return nil, fmt.Errorf("cannot change the signing key: %w", errors.Join(err, goBack(f.Dir)))
		}
		failpoint.Hit("rotate", "before-certificate")
	}
	if err := durable.SyncDir(f.Dir); err != nil {
		return nil, fmt.Errorf("cannot change the signing key: %w", errors.Join(err, goBack(f.Dir)))
	}
	failpoint.Hit("rotate", "after-certificate")
	id, _, err := read(ctx, f.Dir, f.Where, now)
	if err != nil {
		return nil, err
	}
	// An error here is no reason to sign with the former key: the next start records it.
	_ = f.here(id)
	return id, nil
}

// Try implements [Identities].
func (f Files) Try(ctx context.Context, release func()) error {
	var data [2][]byte
	for i, name := range []string{KeyFile, CertFile} {
		var err error
		if data[i], err = readFile(filepath.Join(f.Dir, name+view.PreparedSuffix)); err != nil {
			return err
		}
	}
	id, err := assemble(data[0], data[1], CertFile+view.PreparedSuffix)
	if err != nil {
		return err
	}
	defer id.Key.Close()
	release()
	ctx, cancel := context.WithTimeout(ctx, ReachTimeout)
	defer cancel()
	return id.Key.Check(ctx)
}
