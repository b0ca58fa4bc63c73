// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/daemon/failpoint"
	"github.com/digestd/digestd/daemon/view"
	"github.com/digestd/digestd/store"
)

// identityNames are in the order in which they take over: the certificate last.
var identityNames = [...]string{KeyFile, DERFile, CertFile}

// completeRotation brings a change of identity to its end, wherever it was cut
// short: back if the new certificate was not in place, else forward.
func completeRotation(dir string) error {
	_, err := os.Stat(filepath.Join(dir, CertFile+view.NextSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		// The certificate is still a prepared one: its key goes back to it.
		for _, name := range identityNames {
			path := filepath.Join(dir, name)
			if err := os.Rename(path+view.NextSuffix, path+view.PreparedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
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
	return store.SyncDir(dir)
}

func keepOldCertificate(dir string) error {
	data, err := ReadFile(filepath.Join(dir, CertFile))
	if err != nil {
		return err
	}
	cert, err := ParseCertificate(data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, view.OldDir), 0o755); err != nil {
		return err
	}
	return store.WriteFileDurably(filepath.Join(dir, view.OldDir, hex.EncodeToString(cert.SubjectKeyId)+".crt"), data, 0o644)
}

func ParseCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// oldCertificates returns the certificates that signed lists before.
func oldCertificates(dir string) (certs []*x509.Certificate, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, view.OldDir, "*.crt"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		data, err := ReadFile(path)
		if err != nil {
			return nil, err
		}
		cert, err := ParseCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("cannot read old certificate %s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func (f Files) Prepare(ctx context.Context, now time.Time, release func()) (string, error) {
	path := filepath.Join(f.Dir, CertFile+view.PreparedSuffix)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		release()
		err = Create(ctx, f.Dir, view.PreparedSuffix, f.Where, now)
	}
	return path, err
}

func (f Files) Follow(ctx context.Context, now time.Time) (*Identity, error) {
	for _, name := range identityNames {
		path := filepath.Join(f.Dir, name)
		if err := os.Rename(path+view.PreparedSuffix, path+view.NextSuffix); err != nil {
			return nil, fmt.Errorf("cannot change the signing key: %w", err)
		}
		failpoint.Hit("rotate", "before-certificate")
	}
	if err := store.SyncDir(f.Dir); err != nil {
		return nil, fmt.Errorf("cannot change the signing key: %w", err)
	}
	failpoint.Hit("rotate", "after-certificate")
	id, _, err := Read(ctx, f.Dir, f.Where, now)
	return id, err
}

func (f Files) Try(ctx context.Context, release func()) error {
	var data [2][]byte
	for i, name := range []string{KeyFile, CertFile} {
		var err error
		if data[i], err = ReadFile(filepath.Join(f.Dir, name+view.PreparedSuffix)); err != nil {
			return err
		}
	}
	id, err := New(data[0], data[1], CertFile+view.PreparedSuffix)
	if err != nil {
		return err
	}
	defer id.Key.Close()
	release()
	ctx, cancel := context.WithTimeout(ctx, ReachTimeout)
	defer cancel()
	return id.Key.Check(ctx)
}
