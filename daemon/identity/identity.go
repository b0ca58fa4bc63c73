// SPDX-License-Identifier: Apache-2.0

// Package identity keeps the key that signs the lists of this machine: the key and its
// certificate, those prepared to follow them, and the certificates of former keys.
//
// The files are in the state directory. If a change of the key was interrupted, the next start
// completes or reverts it.
package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"
	"sync/atomic"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Identity is a key that signs lists, and its certificate.
type Identity struct {
	Cert *x509.Certificate
	Key  signer.Signer
	Path string // of the certificate

	lists atomic.Pointer[digestlist.Signer] // what signs lists, of the latest Cert and Key
}

// With returns an identity at the same place that has this certificate and this key.
func (id *Identity) With(cert *x509.Certificate, key signer.Signer) *Identity {
	return &Identity{Cert: cert, Key: key, Path: id.Path}
}

// KeyPath returns the path of the file that contains the key, or the reference to it.
func (id *Identity) KeyPath() string { return filepath.Join(filepath.Dir(id.Path), KeyFile) }

// SKI returns the subject key identifier in hexadecimal digits, as /proc/keys shows it.
func (id *Identity) SKI() string { return hex.EncodeToString(id.Cert.SubjectKeyId) }

// Sign signs the body of a list. sum is its SHA-256 digest. If the signer uses another digest,
// wide is that digest, by which a kernel looks for the list in its .blacklist.
func (id *Identity) Sign(body []byte, sum record.Digest) (sig []byte, wide string, err error) {
	digest := sum[:]
	if grounds.SignsWide(id.Cert) {
		hash, err := digestlist.SigningHash(id.Key.Public())
		if err != nil {
			return nil, "", err
		}
		h := hash.New()
		h.Write(body)
		digest = h.Sum(nil)
		wide = hex.EncodeToString(digest)
	}
	s := id.lists.Load()
	if s == nil || !s.Has(id.Cert, id.Key) {
		if s, err = digestlist.NewSigner(id.Cert, id.Key); err != nil {
			return nil, "", err
		}
		id.lists.Store(s)
	}
	sig, err = s.Sign(digest)
	return sig, wide, err
}

// Describe returns the answer about a certificate whose file is path.
func Describe(c *x509.Certificate, path string) api.Certificate {
	sum := sha256.Sum256(c.Raw)
	return api.Certificate{Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]),
		SKI: hex.EncodeToString(c.SubjectKeyId), NotAfter: c.NotAfter, Path: path}
}
