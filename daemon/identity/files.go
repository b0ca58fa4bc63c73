// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1" // RFC 5280 §4.2.1.2 builds the key identifier from it; it protects nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/store/durable"
	"golang.org/x/sys/unix"
)

// The files of the machine's signing identity, in the state directory. The files of a prepared
// identity have a suffix.
const (
	KeyFile  = "signing.key" // as package signer writes it, 0600
	CertFile = "signing.crt" // X.509, PEM
	DERFile  = "signing.der" // the same, as keyctl and mokutil take it
)

// Identities keeps the machine's signing identities: the one that signs, the one prepared to
// follow it, and the certificates of former ones. The product uses [Files]; tests may use
// others.
type Identities interface {
	// Load returns the identity that signs, and makes it if there is none.
	Load(ctx context.Context, log *slog.Logger, now time.Time) (Loaded, error)
	// Prepare makes the identity that will sign next, unless it exists, and returns the path of
	// its certificate. It calls release before it connects to the place of the key.
	Prepare(ctx context.Context, now time.Time, release func()) (cert string, err error)
	// Try checks that the prepared identity can sign.
	Try(ctx context.Context, release func()) error
	// Follow makes the prepared identity the one that signs.
	Follow(ctx context.Context, now time.Time) (*Identity, error)
}

// Loaded is the result of [Identities.Load].
type Loaded struct {
	Identity *Identity
	Old      []*x509.Certificate // certificates that signed before
	Unread   error               // names former certificates that cannot be read; nil for none
	Foreign  error               // an *Elsewhere, or why that is not known; nil for none
}

// Files keeps identities in the state directory. It makes new keys at the place where; see
// [signer.Create].
type Files struct {
	Dir, Where string
	Rename     func(from, to string) error // nil: [os.Rename]; tests supply one that fails
	MachineID  string                      // the file with the ID of this machine; "" for none
}

// Load implements [Identities].
func (f Files) Load(ctx context.Context, log *slog.Logger, now time.Time) (Loaded, error) {
	id, created, err := read(ctx, f.Dir, f.Where, now)
	if err != nil {
		return Loaded{}, err
	}
	if created {
		log.Info("signing key created", "certificate", id.Path, "in", id.Key.String())
	}
	old, unread := oldCertificates(f.Dir)
	return Loaded{id, old, unread, f.here(id)}, nil
}

// read reads the signing key and certificate, or makes them if neither exists. One without the
// other is an error: a new key would silently end the trust in the enrolled one. A new key is
// made at the place where. An existing key is loaded from its own file, without connecting to
// its place.
func read(ctx context.Context, dir, where string, now time.Time) (id *Identity, created bool, err error) {
	if err := completeRotation(dir); err != nil {
		return nil, false, fmt.Errorf("cannot complete the change of the signing key: %w", err)
	}
	keyPath, certPath := filepath.Join(dir, KeyFile), filepath.Join(dir, CertFile)
	keyPEM, keyErr := readFile(keyPath)
	certPEM, certErr := readFile(certPath)
	switch {
	case errors.Is(keyErr, fs.ErrNotExist) && errors.Is(certErr, fs.ErrNotExist):
		if err := create(ctx, dir, "", where, now); err != nil {
			return nil, false, fmt.Errorf("cannot create signing key (signing-key in the configuration gives its place; if it is empty, a file): %w", err)
		}
		id, _, err = read(ctx, dir, where, now)
		return id, true, err
	case keyErr == nil && errors.Is(certErr, fs.ErrNotExist):
		// A crash came between the two files. Nothing was signed: the certificate is written
		// last, and all signatures embed it.
		if err := os.Remove(keyPath); err != nil {
			return nil, false, fmt.Errorf("cannot replace signing key without a certificate: %w", err)
		}
		return read(ctx, dir, where, now)
	case keyErr != nil:
		return nil, false, fmt.Errorf("cannot read signing key: %w", keyErr)
	case certErr != nil:
		return nil, false, fmt.Errorf("cannot read signing certificate: %w", certErr)
	}
	info, err := os.Lstat(keyPath)
	if err != nil {
		return nil, false, fmt.Errorf("cannot read signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("cannot use signing key %s: mode %04o lets other users read it; if nobody has read it, chmod 0600, else replace it", keyPath, info.Mode().Perm())
	}
	if id, err = assemble(keyPEM, certPEM, certPath); err != nil {
		return nil, false, fmt.Errorf("cannot use signing key %s: %w", keyPath, err)
	}
	if err := FollowCertificate(dir, id.Cert); err != nil {
		return nil, false, fmt.Errorf("cannot load the new certificate %s: %w", certPath, err)
	}
	return id, false, nil
}

// assemble returns the identity of a key and its certificate. It does not connect to a key
// outside of the file.
func assemble(key, cert []byte, path string) (id *Identity, err error) {
	id = &Identity{Path: path}
	if id.Cert, err = parseCertificate(cert); err != nil {
		return nil, fmt.Errorf("cannot read its certificate %s: %w", path, err)
	}
	id.Key, err = signer.Load(key, id.Cert.PublicKey)
	return id, err
}

// create makes a P-256 key at the place where, and a certificate. Every kernel since 5.13
// verifies P-256, and it signs fastest. The certificate permits digital signatures only, as the
// .ima keyring requires. It is written last, because it makes the other files valid.
func create(ctx context.Context, dir, suffix, where string, now time.Time) error {
	keyFile, key, err := signer.Create(ctx, where)
	if err != nil {
		return err
	}
	defer key.Close()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("the new key is a %T, not on P-256", key.Public())
	}
	point, err := public.Bytes()
	if err != nil {
		return err
	}
	skid := sha1.Sum(point)
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "digestd list signing key of " + host},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(30, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		SubjectKeyId:          skid[:],
		AuthorityKeyId:        skid[:],
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{KeyFile, keyFile, 0o600},
		{DERFile, der, 0o644},
		{CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644},
	} {
		if err := durable.WriteFile(filepath.Join(dir, f.name+suffix), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// maxIdentityFile bounds a file of the signing identity, in bytes.
const maxIdentityFile = 1 << 20

// readFile reads a file of the state directory. It must be a regular file with one name, so that
// readFile reads a regular file of the state directory that belongs to root or to the user of
// this process. It follows no symbolic link, and opening the file cannot block.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to user %d", path, st.Uid)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentityFile+1))
	if err == nil && len(data) > maxIdentityFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxIdentityFile)
	}
	return data, err
}

// ReachTimeout bounds one attempt to connect to the signing key.
const ReachTimeout = 15 * time.Second
