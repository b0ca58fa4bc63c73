// SPDX-License-Identifier: Apache-2.0

// Package identity keeps what the lists of this machine are signed with: the key, its
// certificate, those prepared to follow it, and those that signed before.
//
// Its files lie in the state directory. A change of the key is completed or taken back by
// the next start, wherever it was cut short.
package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"

	"github.com/digestd/digestd/daemon/api"
	"github.com/digestd/digestd/daemon/ledger/grounds"
	"github.com/digestd/digestd/daemon/signer"
	"github.com/digestd/digestd/digestlist"
	"github.com/digestd/digestd/store/record"
)

// Identity is what the lists of this machine are signed with.
type Identity struct {
	Cert *x509.Certificate
	Key  signer.Signer
	Path string // of the certificate
}

// KeyPath is the path of the file that holds the key, or says where it is.
func (id *Identity) KeyPath() string { return filepath.Join(filepath.Dir(id.Path), KeyFile) }

// SKI returns the subject key identifier in hexadecimal digits, by which
// /proc/keys shows a certificate.
func (id *Identity) SKI() string { return hex.EncodeToString(id.Cert.SubjectKeyId) }

// Sign signs the body of a list, whose SHA-256 is sum. The signer may digest it otherwise:
// then wide is that digest, by which a kernel looks for the list in its .blacklist.
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
	sig, err = digestlist.SignDigestPKCS7(digest, id.Cert, id.Key)
	return sig, wide, err
}

// Describe is what D-Bus says of a certificate that lies in path.
func Describe(c *x509.Certificate, path string) api.Certificate {
	sum := sha256.Sum256(c.Raw)
	return api.Certificate{Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]),
		SKI: hex.EncodeToString(c.SubjectKeyId), NotAfter: c.NotAfter, Path: path}
}
