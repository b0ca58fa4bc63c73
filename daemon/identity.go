// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" // RFC 5280 §4.2.1.2 builds the key identifier from it; it protects nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/digestd/digestd/store"
	"golang.org/x/sys/unix"
)

// The files of the machine's signing identity, in the state directory. One that
// waits for its time has them with a suffix.
const (
	signingKeyFile  = "signing.key" // PKCS#8, PEM, 0600
	signingCertFile = "signing.crt" // X.509, PEM
	signingDERFile  = "signing.der" // the same, as keyctl and mokutil take it
)

// identity is what the lists of this machine are signed with.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
	path string // of the certificate
}

// skid returns the subject key identifier in hexadecimal digits, by which
// /proc/keys shows a certificate.
func (id *identity) skid() string { return hex.EncodeToString(id.cert.SubjectKeyId) }

// loadIdentity reads the signing key and certificate, or makes them when there
// is neither. One without the other is an error: making a new key would
// silently end the trust that was enrolled for the old one.
func loadIdentity(dir string, now time.Time) (id *identity, created bool, err error) {
	if err := completeRotation(dir); err != nil {
		return nil, false, fmt.Errorf("cannot complete the change of the signing key: %w", err)
	}
	keyPath, certPath := filepath.Join(dir, signingKeyFile), filepath.Join(dir, signingCertFile)
	keyPEM, keyErr := os.ReadFile(keyPath)
	certPEM, certErr := os.ReadFile(certPath)
	switch {
	case errors.Is(keyErr, fs.ErrNotExist) && errors.Is(certErr, fs.ErrNotExist):
		if err := createIdentity(dir, "", now); err != nil {
			return nil, false, fmt.Errorf("cannot create signing key: %w", err)
		}
		id, _, err = loadIdentity(dir, now)
		return id, true, err
	case keyErr == nil && errors.Is(certErr, fs.ErrNotExist):
		// A crash between the two files: nothing was signed, for the
		// certificate is written last and everything signed embeds it.
		if err := os.Remove(keyPath); err != nil {
			return nil, false, fmt.Errorf("cannot replace signing key without a certificate: %w", err)
		}
		return loadIdentity(dir, now)
	case keyErr != nil:
		return nil, false, fmt.Errorf("cannot read signing key: %w", keyErr)
	case certErr != nil:
		return nil, false, fmt.Errorf("cannot read signing certificate: %w", certErr)
	}
	info, err := os.Stat(keyPath)
	if err != nil {
		return nil, false, fmt.Errorf("cannot read signing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("cannot use signing key %s: mode %04o lets others read it; chmod 0600 if it was never exposed, else replace it", keyPath, info.Mode().Perm())
	}
	id = &identity{path: certPath}
	keyBlock, _ := pem.Decode(keyPEM)
	certBlock, _ := pem.Decode(certPEM)
	if keyBlock == nil || certBlock == nil {
		return nil, false, fmt.Errorf("cannot read signing key and certificate in %s: not PEM", dir)
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, false, fmt.Errorf("cannot read signing key %s: %w", keyPath, err)
	}
	if id.cert, err = x509.ParseCertificate(certBlock.Bytes); err != nil {
		return nil, false, fmt.Errorf("cannot read signing certificate %s: %w", certPath, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, false, fmt.Errorf("cannot use signing key %s: it cannot sign", keyPath)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(id.cert.PublicKey) {
		return nil, false, fmt.Errorf("cannot use signing key %s: %s belongs to another key", keyPath, certPath)
	}
	id.key = signer
	return id, false, nil
}

// createIdentity makes a P-256 key, which every kernel since 5.13 verifies and
// which signs fastest, and a certificate that allows digital signatures only:
// the .ima keyring takes no other. The certificate is written last: it makes the
// others count.
func createIdentity(dir, suffix string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	point, err := key.PublicKey.ECDH()
	if err != nil {
		return err
	}
	skid := sha1.Sum(point.Bytes())
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
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{signingKeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600},
		{signingDERFile, der, 0o644},
		{signingCertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644},
	} {
		if err := store.WriteFileDurably(filepath.Join(dir, f.name+suffix), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
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
