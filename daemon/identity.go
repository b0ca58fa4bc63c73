// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1" // RFC 5280 §4.2.1.2 builds the key identifier from it; it protects nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
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

	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store"
	"github.com/digestd/digestd/store/record"
	"golang.org/x/sys/unix"
)

// The files of the machine's signing identity, in the state directory. One that
// waits for its time has them with a suffix.
const (
	signingKeyFile  = "signing.key" // as package signer writes it, 0600
	signingCertFile = "signing.crt" // X.509, PEM
	signingDERFile  = "signing.der" // the same, as keyctl and mokutil take it
)

// identity is what the lists of this machine are signed with.
type identity struct {
	cert *x509.Certificate
	key  signer.Signer
	path string // of the certificate
}

// identities keeps the machine's signing identities: the one that signs, one that is
// prepared to follow it, and the certificates of those before. They are
// [identityFiles], except where a test gives others.
type identities interface {
	// load returns the identity that signs, made if there is none, and the
	// certificates that signed before.
	load(ctx context.Context, log *slog.Logger, now time.Time) (id *identity, old []*x509.Certificate, err error)
	// prepare makes the identity that will sign next, unless it is there, and returns
	// the path of its certificate. Before it reaches for the key's place it calls
	// release.
	prepare(ctx context.Context, now time.Time, release func()) (cert string, err error)
	// try sees that the prepared identity can sign.
	try(ctx context.Context, release func()) error
	// follow lets the prepared identity sign from now on.
	follow(ctx context.Context, now time.Time) (*identity, error)
}

// identityFiles keeps identities in the state directory. New keys are made in where;
// see [signer.Create].
type identityFiles struct{ dir, where string }

func (f identityFiles) load(ctx context.Context, log *slog.Logger, now time.Time) (*identity, []*x509.Certificate, error) {
	id, created, err := loadIdentity(ctx, f.dir, f.where, now)
	if err != nil {
		return nil, nil, err
	}
	if created {
		log.Info("signing key created", "certificate", id.path, "in", id.key.String())
	}
	old, err := oldCertificates(f.dir)
	return id, old, err
}

func (id *identity) keyPath() string { return filepath.Join(filepath.Dir(id.path), signingKeyFile) }

// skid returns the subject key identifier in hexadecimal digits, by which
// /proc/keys shows a certificate.
func (id *identity) skid() string { return hex.EncodeToString(id.cert.SubjectKeyId) }

// sign signs the body of a list, whose SHA-256 is sum. The signer may digest it otherwise:
// then wide is that digest, by which a kernel looks for the list in its .blacklist.
func (id *identity) sign(body []byte, sum record.Digest) (sig []byte, wide string, err error) {
	digest := sum[:]
	if grounds.SignsWide(id.cert) {
		hash, err := digestlist.SigningHash(id.key.Public())
		if err != nil {
			return nil, "", err
		}
		h := hash.New()
		h.Write(body)
		digest = h.Sum(nil)
		wide = hex.EncodeToString(digest)
	}
	sig, err = digestlist.SignDigestPKCS7(digest, id.cert, id.key)
	return sig, wide, err
}

// loadIdentity reads the signing key and certificate, or makes them when there
// is neither. One without the other is an error: making a new key would
// silently end the trust that was enrolled for the old one. A new key is made in
// where; one that is there is found by its own file, and not reached for.
func loadIdentity(ctx context.Context, dir, where string, now time.Time) (id *identity, created bool, err error) {
	if err := completeRotation(dir); err != nil {
		return nil, false, fmt.Errorf("cannot complete the change of the signing key: %w", err)
	}
	keyPath, certPath := filepath.Join(dir, signingKeyFile), filepath.Join(dir, signingCertFile)
	keyPEM, keyErr := readState(keyPath)
	certPEM, certErr := readState(certPath)
	switch {
	case errors.Is(keyErr, fs.ErrNotExist) && errors.Is(certErr, fs.ErrNotExist):
		if err := createIdentity(ctx, dir, "", where, now); err != nil {
			return nil, false, fmt.Errorf("cannot create signing key (where is said by signing-key in the configuration; empty, in a file): %w", err)
		}
		id, _, err = loadIdentity(ctx, dir, where, now)
		return id, true, err
	case keyErr == nil && errors.Is(certErr, fs.ErrNotExist):
		// A crash between the two files: nothing was signed, for the
		// certificate is written last and everything signed embeds it.
		if err := os.Remove(keyPath); err != nil {
			return nil, false, fmt.Errorf("cannot replace signing key without a certificate: %w", err)
		}
		return loadIdentity(ctx, dir, where, now)
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
		return nil, false, fmt.Errorf("cannot use signing key %s: mode %04o lets others read it; chmod 0600 if it was never exposed, else replace it", keyPath, info.Mode().Perm())
	}
	if id, err = newIdentity(keyPEM, certPEM, certPath); err != nil {
		return nil, false, fmt.Errorf("cannot use signing key %s: %w", keyPath, err)
	}
	if err := followCertificate(dir, id.cert); err != nil {
		return nil, false, fmt.Errorf("cannot take the certificate %s over: %w", certPath, err)
	}
	return id, false, nil
}

// newIdentity puts a key and its certificate together. It does not reach for a
// key that is not in the file itself.
func newIdentity(key, cert []byte, path string) (id *identity, err error) {
	id = &identity{path: path}
	if id.cert, err = parseCertificate(cert); err != nil {
		return nil, fmt.Errorf("cannot read its certificate %s: %w", path, err)
	}
	id.key, err = signer.Load(key, id.cert.PublicKey)
	return id, err
}

// createIdentity makes a P-256 key in where, which every kernel since 5.13
// verifies and which signs fastest, and a certificate that allows digital
// signatures only: the .ima keyring takes no other. The certificate is written
// last: it makes the others count.
func createIdentity(ctx context.Context, dir, suffix, where string, now time.Time) error {
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
		{signingKeyFile, keyFile, 0o600},
		{signingDERFile, der, 0o644},
		{signingCertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644},
	} {
		if err := store.WriteFileDurably(filepath.Join(dir, f.name+suffix), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// maxIdentityFile bounds a file of the signing identity.
const maxIdentityFile = 1 << 20

// readState reads a file of the state directory: one of its own, no link to another,
// nothing that would make its reader wait.
func readState(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
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

// bootID names this boot of the machine; a grace that names another is over.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(data) < 36 {
		// Without /proc every start counts as a boot: grace ends early, never late.
		var info unix.Sysinfo_t
		unix.Sysinfo(&info)
		return fmt.Sprintf("unknown-%d-%d", os.Getpid(), info.Uptime)
	}
	return string(data[:36])
}
